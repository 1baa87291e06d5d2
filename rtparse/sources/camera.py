"""Cameras and GStreamer pipelines, read by OpenCV."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event, Lock

import numpy as np

from rtparse._cv import cv2, quiet_opencv
from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo

_TICK = Fraction(1, 90_000)

_log = logging.getLogger("rtparse")


class CaptureSource(Source):
    """Pictures of an open `cv2.VideoCapture`. Live: a picture's pts is when it was taken, by a monotonic clock, from 0.

    Raises SourceError where it gives no picture. `close` may come from another thread; the iteration then ends with the
    picture that the driver is waiting for.
    """

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(
            name,
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) or None,
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) or None,
            fps=Fraction(fps).limit_denominator(1001) if fps > 0 else None,
            time_base=_TICK,
            live=True,
        )
        self._damage: tuple[str, ...] = ()
        self._closed = Event()
        self._reading = Lock()

    @property
    def damage(self) -> tuple[str, ...]:
        return self._damage

    def __iter__(self) -> Iterator[Frame]:
        start = 0.0
        index = 0
        while not self._closed.is_set():
            with self._reading, quiet_opencv():
                taken = not self._closed.is_set() and self._capture.grab()
                now = time.monotonic()
                picture = self._capture.retrieve()[1] if taken else None
            if self._closed.is_set():
                self._release()
                return
            if picture is None:
                self._ended(index)
                return
            start = start or now
            ticks = round((now - start) / _TICK)
            image = np.asarray(picture, dtype=np.uint8)
            yield Frame(image, float(ticks * _TICK), index, self.info.name, arrived=now)
            index += 1

    def close(self) -> None:
        self._closed.set()
        # While a read is under way, releasing would pull the device from under it: the reading thread then does it.
        if self._reading.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._reading.release()

    def _release(self) -> None:
        with self._reading:
            self._capture.release()

    def _ended(self, index: int) -> None:
        if index == 0:
            raise SourceError(f"{self.info.name} opens but gives no picture", "close other programs that use it")
        self._damage = (f"{self.info.name} stopped after {index} pictures",)


class CameraSource(CaptureSource):
    """Camera 0, 1, ... or one by its path, such as /dev/video0.

    The driver's queue is kept at one picture where the driver allows it, so a slow consumer sees fresh pictures and
    loses the ones between. Raises SourceError where there is no such camera.
    """

    def __init__(
        self,
        device: int | str,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        mjpeg: bool = False,
    ) -> None:
        """size: (width, height), fps: what the driver is asked for; it may choose another, of which a warning tells.

        mjpeg: ask for compressed pictures, which many cameras need for their higher rates.
        """
        name = f"camera {device}"
        with quiet_opencv():
            capture = cv2.VideoCapture(device)
        if not capture.isOpened():
            raise SourceError(f"there is no {name} that can be opened", _cameras_here())
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        # The sizes that a driver offers depend on the coding, and the rates on the size: so in this order.
        if mjpeg:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        super().__init__(name, capture)
        given = self.info.width, self.info.height
        if size is not None and given != size:
            _log.warning("%s gives %sx%s, not %dx%d", name, *given, *size)


class GstreamerSource(CaptureSource):
    """A GStreamer pipeline that ends in an appsink, where OpenCV was built with GStreamer.

    Raises UsageError where it was not, SourceError for a pipeline that does not run.
    """

    def __init__(self, pipeline: str) -> None:
        check_gstreamer()
        with quiet_opencv():
            capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise SourceError(
                f"the GStreamer pipeline {pipeline!r} does not run",
                "try it with gst-launch-1.0; it must end in appsink",
            )
        super().__init__(pipeline, capture)


def check_gstreamer() -> None:
    """Raise UsageError where OpenCV cannot run pipelines."""
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise UsageError(
            f"OpenCV {cv2.__version__} was built without GStreamer, as are its wheels on PyPI",
            "use your distribution's OpenCV (Debian: python3-opencv) or build it with -D WITH_GSTREAMER=ON",
        )


def _cameras_here() -> str:
    if not sys.platform.startswith("linux"):
        return "check that it is plugged in and that this program may use it"
    found = sorted(path.name for path in Path("/dev").glob("video*"))
    return f"found {', '.join(found)} in /dev" if found else "found no camera (/dev/video*)"
