"""Pictures that the caller already holds: arrays, PIL images, Frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from fractions import Fraction
from threading import Event

import numpy as np

from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.convert import to_bgr8

DEFAULT_FPS = Fraction(30)
"""The rate of pictures that have no time of their own: arrays, and the files of a folder."""


class ArraySource(Source):
    """Any iterable of arrays (see `convert.to_bgr8`), PIL images or Frames, consumed lazily from one thread.

    Arrays are copied, so that a caller may reuse one buffer for all pictures; a picture without a time of its own is
    shown at index / fps seconds. Frames are passed on without a copy with their pts and name; all are numbered anew.
    Errors that the iterable raises pass through; UsageError names the picture that cannot be converted.
    """

    def __init__(
        self, pictures: Iterable[object], *, fps: Fraction = DEFAULT_FPS, color: str = "bgr", name: str = "pictures"
    ) -> None:
        count = len(pictures) if isinstance(pictures, Sized) else None
        self.info = SourceInfo(name, fps=fps, frame_count=count)
        self._pictures = pictures
        self._fps = fps
        self._color = color
        self._closed = Event()

    @property
    def damage(self) -> tuple[str, ...]:
        return ()

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            if self._closed.is_set():
                return
            if isinstance(picture, Frame):
                yield replace(picture, index=index)
                continue
            image = to_bgr8(picture, self._color)
            if isinstance(picture, np.ndarray) and np.may_share_memory(image, picture):
                image = image.copy()
            yield Frame(image, float(index / self._fps), index, f"{self.info.name}[{index}]")

    def close(self) -> None:
        """End the iteration at the next picture. An iterable that blocks is not interrupted: it is the caller's."""
        self._closed.set()
