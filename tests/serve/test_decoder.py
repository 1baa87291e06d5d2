"""What strangers' images can do to the process that decodes them, and to nothing else."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtparse.serve.decoder import HEAD, NEWS, PICTURE
from rtparse.serve.sandbox import DecodeError, ImageDecoder

ImageFile = Callable[..., bytes]
PIXELS = 1_000_000


@pytest.fixture(scope="module")
def decoder() -> Iterator[ImageDecoder]:
    with ImageDecoder(PIXELS, seconds=20, workers=1) as made:
        yield made


def png_of(width: int, height: int, data: bytes) -> bytes:
    """A grey PNG whose header says so, whatever its data are."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(kind: str, image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _large(kind: str, **options: object) -> bytes:
    return saved(kind, Image.new("L", (2000, 2000)), **options)


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG of zeros": lambda: png_of(30_000, 30_000, zlib.compress(bytes(10_000_000))),
    "PNG whose header lies": lambda: png_of(2**31 - 1, 2**31 - 1, zlib.compress(b"")),
    "PNG of one column": lambda: png_of(1, 2**31 - 1, zlib.compress(bytes(1000))),
    "BMP whose header lies": lambda: (
        struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 60, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(6)
    ),
    "GIF": lambda: _large("GIF"),
    "WEBP": lambda: _large("WEBP"),
    "AVIF": lambda: _large("AVIF", speed=10),
    "TIFF, deflated": lambda: _large("TIFF", compression="tiff_adobe_deflate"),
    "JPEG": lambda: _large("JPEG"),
}
"""Small files that are, or say that they are, large pictures."""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_its_header(decoder: ImageDecoder, image_file: ImageFile, name: str) -> None:
    before = _memory(_only_worker_after(decoder, image_file()))
    with pytest.raises(DecodeError) as refused:
        decoder(BOMBS[name]())
    assert refused.value.code == "pixels", str(refused.value)
    assert _memory(_only_worker(decoder)) < before + 64 * 2**20


def test_text_that_grows_when_unpacked_is_no_trouble(decoder: ImageDecoder) -> None:
    """A PNG may hold deflated text: 50 MB of it in 50 kB."""
    body = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
    text = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = saved("PNG", Image.new("RGB", (9, 9), "red"))
    with pytest.raises(DecodeError, match="cannot be decoded"):  # by a limit of Pillow's own
        decoder(whole[:33] + text + whole[33:])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_kind_of_pixel_comes_out_as_bgr(decoder: ImageDecoder, mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    image = decoder(saved(kind, Image.new("RGB", (20, 10), "white").convert("L" if mode == "I;16" else mode)))
    assert image.shape == (10, 20, 3)
    assert image.dtype == np.uint8
    assert image.min() > 250


def test_colours_keep_their_order(decoder: ImageDecoder) -> None:
    assert decoder(saved("PNG", Image.new("RGB", (4, 4), (10, 20, 30))))[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize("size_wh", [(96, 64), (600, 400)])  # smaller and larger than what waits in a pipe
def test_a_decoder_that_hangs_is_killed_and_replaced(image_file: ImageFile, size_wh: tuple[int, int]) -> None:
    image = image_file("BMP", size_wh)
    with ImageDecoder(PIXELS, seconds=20, workers=1) as decoder:
        first = _only_worker_after(decoder, image)
        os.kill(first, signal.SIGSTOP)  # it hangs, whatever it is given
        decoder._seconds = 0.3
        with pytest.raises(DecodeError) as late:
            decoder(image)
        assert late.value.code == "time"
        decoder._seconds = 20
        assert decoder(image).shape == (*size_wh[::-1], 3)
        assert _only_worker(decoder) != first
        assert not Path(f"/proc/{first}").exists()


@pytest.mark.parametrize(
    "said",
    [
        HEAD.pack(PICTURE, 2**32 - 1, 2**32 - 1, 0.0),  # would take all memory
        HEAD.pack(PICTURE, 0, 5, 0.0),
        HEAD.pack(NEWS, 5, 0, 0.0) + b"[[[[[",
        HEAD.pack(NEWS, 2**32 - 1, 0, 0.0) + bytes(2**20),
        b"\1",
    ],
)
def test_a_decoder_that_was_taken_over_is_not_believed(
    said: bytes, image_file: ImageFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_bytes(HEAD.pack(NEWS, 2, 0, 0.0) + b"{}" + said)
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/said\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    with ImageDecoder(PIXELS, seconds=20, workers=1) as decoder, pytest.raises(DecodeError) as refused:
        decoder(image_file())
    assert refused.value.code == "broken"


def test_a_decoder_that_crashes_is_replaced(image_file: ImageFile) -> None:
    with ImageDecoder(PIXELS, seconds=20, workers=1) as decoder:
        first = _only_worker_after(decoder, image_file())
        os.kill(first, signal.SIGSEGV)
        with pytest.raises(DecodeError) as broken:
            decoder(image_file())
        assert broken.value.code == "broken"
        assert decoder(image_file()).shape == (64, 96, 3)


def test_its_memory_is_bounded_by_the_operating_system(decoder: ImageDecoder, image_file: ImageFile) -> None:
    worker = _only_worker_after(decoder, image_file())
    limits = Path(f"/proc/{worker}/limits").read_text().splitlines()
    address_space = next(line for line in limits if line.startswith("Max address space"))
    assert int(address_space.split()[3]) <= 3 * 2**30
    assert "Max core file size        0 " in "\n".join(limits)


def test_it_does_not_know_the_token(monkeypatch: pytest.MonkeyPatch, image_file: ImageFile) -> None:
    monkeypatch.setenv("RTPARSE_TOKEN", "secret-of-the-server")
    with ImageDecoder(PIXELS, seconds=20, workers=1) as decoder:
        worker = _only_worker_after(decoder, image_file())
        assert b"secret" not in Path(f"/proc/{worker}/environ").read_bytes()


def test_many_threads_share_a_few_decoders(image_file: ImageFile) -> None:
    sizes = [(16 + i, 40 - i) for i in range(24)]
    with ImageDecoder(PIXELS, seconds=20, workers=2) as decoder, ThreadPoolExecutor(8) as pool:
        images = list(pool.map(decoder, [image_file("PNG", size) for size in sizes]))
        assert len(decoder._running) <= 2
    assert [(image.shape[1], image.shape[0]) for image in images] == sizes


def test_closing_ends_what_is_under_way(image_file: ImageFile) -> None:
    decoder = ImageDecoder(PIXELS, seconds=60, workers=1)
    worker = _only_worker_after(decoder, image_file())
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(decoder, image_file()) for _ in range(2)]  # one is asked, one waits for its turn
        time.sleep(0.1)
        decoder.close()
        for each in waiting:
            assert isinstance(each.exception(10), DecodeError)
    decoder.close()
    assert not Path(f"/proc/{worker}").exists()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):  # called off, it ends a moment later
            thread.join(5)
            assert not thread.is_alive()


def test_a_decoder_that_hangs_ends_with_its_server(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "video")  # which nobody writes: to open it takes for ever
    command = [sys.executable, "-m", "rtparse.serve.decoder", "video", tmp_path / "video", tmp_path / "sound", "1000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.5)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 1
        finally:
            process.kill()


def _only_worker(decoder: ImageDecoder) -> int:
    """Its process."""
    (worker,) = decoder._running
    return worker._process.pid


def _only_worker_after(decoder: ImageDecoder, image: bytes) -> int:
    decoder(image)
    return _only_worker(decoder)


def _memory(process: int) -> int:
    """Bytes that are in use."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
