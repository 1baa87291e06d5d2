"""pyvirtualcam takes cameras of other makers: what goes into one is seen there, without a device."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtparse.errors import MissingDependencyError, SinkError
from rtparse.parsing import Parsing
from rtparse.sinks import VirtualCameraSink

Numbered = Callable[..., Parsing]


class MemoryCamera:
    """A camera as pyvirtualcam's documentation describes one; holds the frames that it was sent."""

    made: list[MemoryCamera]

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **others: Any) -> None:
        self.size_wh, self.fps = (width, height), fps
        self.frames: list[Any] = []
        self.closed = False
        self.made.append(self)

    def send(self, frame: Any) -> None:
        self.frames.append(np.array(frame).reshape(self.size_wh[1], self.size_wh[0], 3))

    def close(self) -> None:
        self.closed = True

    def device(self) -> str:
        return "memory"

    def native_fourcc(self) -> None:
        return None


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[MemoryCamera]:
    pyvirtualcam = pytest.importorskip("pyvirtualcam")
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    monkeypatch.setattr(MemoryCamera, "made", [], raising=False)
    pyvirtualcam.register_backend("memory", MemoryCamera)
    return MemoryCamera.made


def test_other_programs_see_the_pictures(
    cameras: list[MemoryCamera], numbered: Numbered, read_number: Callable[[Any], int]
) -> None:
    sink = VirtualCameraSink(lambda parsing: parsing.frame.image, Fraction(25))
    for number in range(3):
        sink.write(numbered(number, (90, 160)))
    sink.write(numbered(0, (180, 160)))
    sink.finish()
    (camera,) = cameras
    assert (camera.size_wh, camera.fps, camera.closed) == ((160, 90), 25.0, True)
    assert [read_number(frame) for frame in camera.frames[:3]] == [0, 1, 2]
    assert len(camera.frames) == 4


@pytest.mark.skipif(any(Path("/sys/devices/virtual/video4linux").glob("video*")), reason="there is a virtual camera")
def test_without_a_device_it_is_one_line(numbered: Numbered) -> None:
    pytest.importorskip("pyvirtualcam")
    sink = VirtualCameraSink(lambda parsing: parsing.frame.image)
    with pytest.raises(SinkError, match="there is no virtual camera of 160x96") as caught:
        sink.write(numbered(0))
    sink.abort()
    assert "\n" not in str(caught.value)
    if sys.platform.startswith("linux"):
        assert "modprobe v4l2loopback" in str(caught.value)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "rtparse\[live\]"'):
        VirtualCameraSink(lambda parsing: parsing.frame.image)
