"""Uncompressed pictures, one after the other, from a pipe."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.convert import to_bgr8

_CHANNELS = {"bgr24": 3, "rgb24": 3, "gray": 1}
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class RawFormat:
    """width, height: in pixels. pixels: bgr24, rgb24 or gray, by their names in FFmpeg; rows have no padding."""

    width: int
    height: int
    pixels: str

    @classmethod
    def of(cls, text: str) -> RawFormat:
        """From WIDTHxHEIGHT:PIXELS, such as 1280x720:bgr24. Raises UsageError."""
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4}):(\w+)", text)
        if match is None or match[3] not in _CHANNELS:
            raise UsageError(f"got the raw format {text!r}", "expected WIDTHxHEIGHT:bgr24, :rgb24 or :gray")
        return cls(int(match[1]), int(match[2]), match[3])

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, _CHANNELS[self.pixels]


class RawSource(Source):
    """Raw frames of one format from a file or pipe, which stays the caller's.

    Live: pts is when the frame was whole. A last frame that is too short is left out, and named in `damage`. `close`
    may come from another thread and ends a blocked iteration within a tenth of a second. Raises SourceError where
    reading fails.
    """

    def __init__(self, stream: BinaryIO, layout: RawFormat, name: str = "stdin") -> None:
        self.info = SourceInfo(name, width=layout.width, height=layout.height, live=True)
        self._descriptor = stream.fileno()
        self._layout = layout
        self._closed = False
        self._damage: tuple[str, ...] = ()

    @property
    def damage(self) -> tuple[str, ...]:
        return self._damage

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        color = "rgb" if self._layout.pixels == "rgb24" else "bgr"
        while True:
            picture = np.empty(self._layout.shape, np.uint8)
            got = self._fill(picture.data.cast("B"))
            if self._closed or got == 0:
                return
            if got < picture.nbytes:
                self._damage = (f"the last frame is short: {got} of {picture.nbytes} bytes",)
                return
            now = time.monotonic()
            yield Frame(to_bgr8(picture, color), now, index, self.info.name, arrived=now)
            index += 1

    def close(self) -> None:
        self._closed = True

    def _fill(self, buffer: memoryview) -> int:
        """Read until the buffer is full, the end, or `close`. How many bytes were read."""
        got = 0
        try:
            while got < len(buffer) and not self._closed:
                if select.select([self._descriptor], [], [], _LOOK_SECONDS)[0]:
                    count = os.readv(self._descriptor, [buffer[got:]])
                    if count == 0:
                        break
                    got += count
        except OSError as error:
            raise SourceError(f"{self.info.name} cannot be read ({error.strerror})") from None
        return got
