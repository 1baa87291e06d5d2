"""Pictures that carry their number in blocks that survive coding, and servers that show them."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.context import CodecContext
from numpy.typing import NDArray

SYSTEM_PYTHON = "/usr/bin/python3"
LENGTH = 1500  # pictures of a clip; numbers on the wire are modulo this
FPS = 25
GROUP = 10  # pictures from one keyframe to the next


def numbered(number: int, scale: int = 1) -> NDArray[np.uint8]:
    """(128, 256, 3) times scale: 16 bits as black and white blocks, and below them their opposites."""
    bits = (number >> np.arange(16) & 1).reshape(2, 8).astype(np.uint8)
    blocks = np.vstack((bits, 1 - bits)) * np.uint8(200) + np.uint8(28)
    return np.repeat(blocks.repeat(32 * scale, 0).repeat(32 * scale, 1)[..., None], 3, 2)


def number_of(image: NDArray[np.uint8]) -> int:
    """What `numbered` put in, at any size. Fails for a picture that is not whole."""
    height, width = image.shape[0] // 4, image.shape[1] // 8
    middle = image.reshape(4, height, 8, width, 3)[:, height // 4 : -height // 4, :, width // 4 : -width // 4]
    bits = middle.mean((1, 3, 4)) > 128
    assert (bits[:2] != bits[2:]).all(), "a damaged picture"
    return int((bits[:2].ravel() << np.arange(16)).sum())


def coded(scale: int = 1, length: int = LENGTH) -> list[bytes]:
    """H.264 of the numbers from 0 on: one packet a picture, with all headers at every keyframe."""
    encoder = CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 256 * scale, 128 * scale, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0",
    }
    packets = []
    for number in range(length):
        frame = av.VideoFrame.from_ndarray(numbered(number, scale), format="bgr24")
        frame.pts = number
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in (*packets, *encoder.encode(None))]


class RtspServer:
    """A server in a process of its own that can be killed and started again at the same port."""

    def __init__(self, epoch: float, clips: list[Path]) -> None:
        self._clips = clips
        self._epoch = epoch
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/clip"

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        given = [self._port, self._epoch, FPS, GROUP, *self._clips]
        command = [SYSTEM_PYTHON, str(script), *map(str, given)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def age(self, number: int) -> float:
        """Seconds since the picture with this number on the wire was sent."""
        return (time.monotonic() - self._epoch - number / FPS) % (LENGTH / FPS)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The coded clip, at one, two, ... times its size, as a file for the server."""
    folder = tmp_path_factory.mktemp("clips")

    def write(scale: int) -> Path:
        path = folder / f"{scale}.clip"
        if not path.exists():
            path.write_bytes(b"".join(struct.pack("<I", len(packet)) + packet for packet in coded(scale)))
        return path

    return write


@pytest.fixture
def serve_rtsp(clip: Callable[[int], Path]) -> Iterator[Callable[..., RtspServer]]:
    """serve_rtsp(1, 2) -> a server of clips of these scales; skipped where GStreamer's is not installed."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True).returncode:
        pytest.skip("no GStreamer RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-bad")
    servers: list[RtspServer] = []

    def serve(*scales: int) -> RtspServer:
        servers.append(RtspServer(time.monotonic(), [clip(scale) for scale in scales]))
        return servers[-1]

    try:
        yield serve
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    return lambda: len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the count is all that is asked


@pytest.fixture(name="number_of", scope="session")
def _number_of() -> Callable[[NDArray[np.uint8]], int]:
    return number_of


@pytest.fixture(name="coded", scope="session")
def _coded() -> Callable[..., list[bytes]]:
    return coded


@pytest.fixture(name="numbered", scope="session")
def _numbered() -> Callable[..., NDArray[np.uint8]]:
    return numbered
