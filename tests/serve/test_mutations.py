"""Real image and video files, damaged at random, against the server: every one gets an answer in words, and in time.

RTPARSE_FUZZ=3000 tries so many; `-rP` shows what came of them.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from rtparse import Parser
from rtparse.serve.app import server_app
from rtparse.serve.limits import Limits

MakeClip = Callable[..., Path]

COUNT = int(os.environ.get("RTPARSE_FUZZ", "40"))
VIDEOS = max(8, COUNT // 5)
IMAGES = max(1, COUNT - VIDEOS)
LIMITS = Limits(pixels=4_000_000, decode_seconds=20, video_seconds=60, videos=4)
GROWTH = 512 * 2**20
"""Bytes by which the server may grow: a few pictures at the limit, and what libraries keep."""

EXTREMES = [number.to_bytes(size) for size in (2, 4) for number in (0, 1, 256**size // 2 - 1, 256**size - 1)]


def damaged(file: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to four damages, a third of them in the first 200 bytes, where the headers are."""
    data = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 4))):
        end = max(1, len(data))
        at = chance.randrange(min(200, end) if chance.random() < 1 / 3 else end)
        length = min(end - at, 1 << chance.randrange(8))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + 1] = chance.randbytes(1)
        elif kind == 2:
            extreme = chance.choice(EXTREMES)
            data[at : at + len(extreme)] = extreme if chance.random() < 0.5 else extreme[::-1]
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            data[at : at + length] = other[at : at + length]
        else:
            del data[max(1, end - length) :]
    return bytes(data)


@pytest.fixture(scope="module")
def url(running: Callable[[FastAPI], AbstractContextManager[str]], parser: Parser) -> Iterator[str]:
    with running(server_app(parser, limits=LIMITS)) as address:
        yield address


def images() -> list[bytes]:
    """A picture in every kind of file that is taken."""
    rows, columns = np.mgrid[:60, :80]
    picture = Image.fromarray(np.stack([rows * 4, columns * 3, rows ^ columns], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("JPEG", picture, {"exif": exif}),
        ("JPEG", picture.convert("CMYK"), {"progressive": True}),
        ("PNG", picture, {"icc_profile": b"x" * 200}),
        ("PNG", picture.convert("P"), {"transparency": 3}),
        ("PNG", Image.fromarray((rows * 1000).astype(np.uint16)), {}),
        ("PNG", picture, {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("WEBP", picture, {}),
        ("WEBP", picture.convert("RGBA"), {"lossless": True}),
        ("WEBP", picture, {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("AVIF", picture, {"speed": 10}),
        ("BMP", picture, {}),
        ("BMP", picture.convert("P"), {}),
        ("GIF", picture, {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("TIFF", picture, {"compression": "tiff_lzw"}),
        ("TIFF", picture, {"compression": "jpeg"}),
        ("TIFF", picture.convert("1"), {"compression": "group4"}),
        ("TIFF", picture.convert("F"), {}),
    ]
    files = []
    for kind, image, options in kinds:
        file = BytesIO()
        image.save(file, kind, **options)  # type: ignore[arg-type]
        files.append(file.getvalue())
    return files


@pytest.fixture
def videos(make_clip: MakeClip) -> list[bytes]:
    """A clip in most kinds of container that are taken."""

    def picture(index: int) -> NDArray[np.uint8]:
        return np.full((48, 64, 3), 20 * index, np.uint8)

    clips = [
        make_clip("a.mp4", picture=picture, frames=6, audio="aac"),
        make_clip("b.mov", picture=picture, frames=6, rotation=(90, False, False)),
        make_clip("c.mkv", picture=picture, frames=6, audio="aac"),
        make_clip("d.webm", picture=picture, frames=6, codec="libvpx-vp9"),
        make_clip("e.avi", picture=picture, frames=6, codec="mpeg4"),
        make_clip("f.ts", picture=picture, frames=6, codec="mpeg2video", tick=Fraction(1, 25)),
        make_clip("g.flv", picture=picture, frames=6, tick=Fraction(1, 1000)),
        make_clip("h.gif", picture=picture, frames=6, codec="gif", pix_fmt="rgb8"),
    ]
    return [clip.read_bytes() for clip in clips]


def test_damaged_images_are_parsed_or_refused(url: str) -> None:
    chance = random.Random(6)
    files = images()
    seen: Counter[str] = Counter()
    slowest, before = 0.0, _memory()
    with httpx.Client(base_url=url, timeout=60) as client:
        for file in itertools.islice(itertools.cycle(files), IMAGES):
            begun = time.monotonic()
            image = damaged(file, chance.choice(files), chance)
            answer = client.post("/api/parse", content=image, headers={"Content-Type": "image/x"})
            slowest = max(slowest, time.monotonic() - begun)
            assert answer.status_code in (200, 413, 422), answer.text
            seen["parsed" if answer.is_success else answer.json()["error"]["code"]] += 1
        assert client.get("/healthz").is_success
    grown = _memory() - before
    print(f"{IMAGES} images: {dict(seen)}; slowest {slowest:.1f} s; grown by {grown / 2**20:.0f} MiB")
    assert grown < GROWTH
    assert seen["time"] == seen["memory"] == 0
    assert seen["image"] > 0


def test_damaged_videos_are_parsed_or_refused(url: str, videos: list[bytes]) -> None:
    chance = random.Random(6)
    seen: Counter[str] = Counter()
    slowest, before = 0.0, _memory()
    with httpx.Client(base_url=url, timeout=60) as client:
        for file in itertools.islice(itertools.cycle(videos), VIDEOS):
            begun = time.monotonic()
            video = damaged(file, chance.choice(videos), chance)
            sent = client.post("/api/videos", content=video, headers={"Content-Type": "video/x"})
            assert sent.status_code == 202
            name = sent.json()["id"]
            while (status := client.get(f"/api/videos/{name}").json())["state"] not in ("done", "failed"):
                time.sleep(0.02)
                assert time.monotonic() < begun + 120
            slowest = max(slowest, time.monotonic() - begun)
            result = client.get(f"/api/videos/{name}/result")
            assert result.status_code == (200 if status["state"] == "done" else 409)
            seen["parsed" if status["error"] is None else status["error"]["code"]] += 1
        assert client.get("/healthz").is_success
    grown = _memory() - before
    print(f"{VIDEOS} videos: {dict(seen)}; slowest {slowest:.1f} s; grown by {grown / 2**20:.0f} MiB")
    print(f"largest decoder: {getrusage(RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")
    assert grown < GROWTH
    assert seen["failed"] == 0  # an error of ours


def _memory() -> int:
    """Bytes that this process, which holds the server, has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
