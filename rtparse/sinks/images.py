"""The view of one parsing as an image file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError, UsageError
from rtparse.parsing import Parsing
from rtparse.sinks.partial import PartialFile, write_errors

IMAGE_FORMATS: dict[str, tuple[int, ...]] = {
    ".png": (),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}
"""By suffix of the file's name; the values are OpenCV's parameters."""
_WITH_ALPHA = (".png", ".webp")


def image_suffix(path: Path, *, alpha: bool = False) -> str:
    """The suffix of this name in small letters. Raises UsageError for one that says no format, or one without alpha."""
    formats = _WITH_ALPHA if alpha else tuple(IMAGE_FORMATS)
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise UsageError(
            f"an image{' with alpha' if alpha else ''} cannot be written as "
            f"{path.suffix or 'a file without suffix'}: {path}",
            f"choose from: {', '.join(formats)}",
        )
    return suffix


class ImageSink:
    """Writes what `view` draws, (H, W, 3) uint8 BGR, in the format that the suffix of `path` names.

    alpha: `view` draws (H, W, 4) uint8 BGRA, straight alpha, which PNG and WebP hold.
    For one picture: a second one raises SinkError. Raises UsageError as `image_suffix` does.
    """

    def __init__(self, path: Path, view: Callable[[Parsing], NDArray[np.uint8]], *, alpha: bool = False) -> None:
        self._suffix = image_suffix(path, alpha=alpha)
        self._view = view
        self._written = False
        self._file = PartialFile(path)

    def write(self, parsing: Parsing) -> None:
        if self._written:
            raise SinkError(f"{self._file.path} takes one picture, got a second one", "write a video instead")
        try:
            done, data = cv2.imencode(self._suffix, self._view(parsing), IMAGE_FORMATS[self._suffix])
        except cv2.error:
            done = False
        if not done:
            width, height = parsing.frame.size_hw[::-1]
            raise SinkError(f"a picture of {width}x{height} cannot be written as {self._suffix}", "write a PNG instead")
        with write_errors(self._file.path):
            self._file.part.write_bytes(data.tobytes())
        self._written = True

    def finish(self) -> None:
        if not self._written:
            self._file.discard()
            raise SinkError(f"no picture came for {self._file.path}, so it was not written")
        self._file.commit()

    def abort(self) -> None:
        self._file.discard()
