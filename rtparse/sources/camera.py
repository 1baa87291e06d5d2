"""A camera of this machine, read by OpenCV."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event, Lock

import numpy as np

from rtparse._cv import cv2, quiet_opencv
from rtparse.errors import SourceError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo

_TICK = Fraction(1, 90_000)


class CameraSource(Source):
    """Camera `index` (0, 1, ...). Live: a picture's pts is the time that it was taken, by a monotonic clock, from 0.

    The driver's queue is kept at one picture where the driver allows it, so a slow consumer sees fresh pictures and
    loses the ones between. Raises SourceError where there is no such camera or it gives no picture. `close` may come
    from another thread; the iteration then ends with the picture that the driver is waiting for.
    """

    def __init__(self, index: int) -> None:
        name = f"camera {index}"
        with quiet_opencv():
            self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise SourceError(f"there is no {name} that can be opened", _cameras_here())
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(
            name,
            width=int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)) or None,
            height=int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) or None,
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
            yield Frame(np.asarray(picture, dtype=np.uint8), float(ticks * _TICK), index, self.info.name)
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


def _cameras_here() -> str:
    if not sys.platform.startswith("linux"):
        return "check that it is plugged in and that this program may use it"
    found = sorted(path.name for path in Path("/dev").glob("video*"))
    return f"found {', '.join(found)} in /dev" if found else "found no camera (/dev/video*)"
