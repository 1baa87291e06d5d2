"""Class ids as bytes, for a program at the other end of a pipe."""

from __future__ import annotations

import os

import numpy as np

from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.encoder import letterboxed


class RawLabelsSink:
    """Writes the labels of each frame to a file descriptor, which stays the caller's: height * width bytes, the class
    id of each pixel, row after row from the top left, without any header or gap.

    All frames have the size of the first one; the labels of another are letterboxed to it (background around, pixels
    repeated or left away). Raises SinkError when nobody reads any more.
    """

    def __init__(self, descriptor: int, name: str = "the pipe") -> None:
        self._descriptor = descriptor
        self._name = name
        self._size_wh: tuple[int, int] | None = None

    def write(self, parsing: Parsing) -> None:
        height, width = parsing.labels.shape
        self._size_wh = self._size_wh or (width, height)
        labels = letterboxed(parsing.labels, self._size_wh, nearest=True)
        rest = np.ascontiguousarray(labels).data.cast("B")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            raise SinkError(f"nobody reads the labels from {self._name} any more") from None
        except OSError as error:
            raise SinkError(f"the labels cannot be written to {self._name} ({error.strerror})") from None

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass
