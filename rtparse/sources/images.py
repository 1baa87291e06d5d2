"""One image file, or the images of a folder, read by OpenCV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2, quiet_opencv
from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.arrays import DEFAULT_FPS
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.convert import to_bgr8

IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Files that are read as still images. GIF is read as a video."""

_WITH_ALPHA = frozenset({".avif", ".png", ".tif", ".tiff", ".webp"})


def image_files(folder: Path) -> list[Path]:
    """The files of a folder that are images by their suffix, by name; none where it is no folder.

    Names with a leading dot are left out: macOS lays such files beside others in an archive.
    """
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != ".")


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 BGR, a new array: EXIF orientation applied, the rest as in `convert.to_bgr8`.

    Thread-safe. Raises SourceError for a file that cannot be read or decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)  # not imread: it knows no other alphabet on Windows, and hides why it fails
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from None
    return decode_image(path, data)


def decode_image(path: Path, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The content of the file `path`, (bytes,) uint8, as `read_image` gives it, and with its errors."""
    pixels = _decode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        what = "is empty (0 bytes)" if data.size == 0 else "is not an image that can be decoded"
        raise SourceError(f"{path} {what}", "expected a whole JPEG, PNG, WebP, TIFF, BMP or AVIF file")
    if path.suffix.lower() in _WITH_ALPHA:
        with_alpha = _decode(data, cv2.IMREAD_UNCHANGED)
        if with_alpha is not None and with_alpha.ndim == 3 and with_alpha.shape[2] == 4:
            pixels = _turned_like(with_alpha, pixels)
    return to_bgr8(pixels)


class ImageSource(Source):
    """The frames are the image files `paths`, in order.

    A single file is read at once, and the constructor raises SourceError when that fails. Of several, a broken one is
    skipped and counted in `damage`; SourceError when none can be read. Several play at `fps` pictures a second.
    """

    def __init__(self, paths: tuple[Path, ...], *, name: str = "", fps: Fraction = DEFAULT_FPS) -> None:
        self._paths = paths
        self._broken = 0
        self._closed = Event()
        name = name or str(paths[0])
        self._only: NDArray[np.uint8] | None = None
        if len(paths) == 1:
            self._only = read_image(paths[0])
            height, width = self._only.shape[:2]
            self.info = SourceInfo(name, width=width, height=height, frame_count=1)
        else:
            self.info = SourceInfo(
                name, fps=fps, time_base=1 / fps, frame_count=len(paths), duration=float(len(paths) / fps)
            )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The images of a folder by suffix, in natural order (2.png before 10.png). Raises UsageError without any."""
        paths = image_files(folder)
        if not paths:
            raise UsageError(
                f"there is no image in the folder {folder}", f"expected files like {', '.join(sorted(IMAGE_SUFFIXES))}"
            )
        return cls(tuple(sorted(paths, key=_natural)), name=str(folder))

    @property
    def damage(self) -> tuple[str, ...]:
        if not self._broken:
            return ()
        return (f"{self._broken} of {len(self._paths)} images cannot be read and were skipped",)

    def __iter__(self) -> Iterator[Frame]:
        if self._only is not None:
            yield Frame(self._only, name=self.info.name)
            return
        index = 0
        for path in self._paths:
            if self._closed.is_set():
                return
            try:
                image = read_image(path)
            except SourceError:
                self._broken += 1
                continue
            yield Frame(image, float(index / (self.info.fps or DEFAULT_FPS)), index, str(path))
            index += 1
        if index == 0:
            raise SourceError(f"none of the {len(self._paths)} images of {self.info.name} can be decoded")

    def close(self) -> None:
        """End the iteration at the next file."""
        self._closed.set()


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name.lower())]


def _decode(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    if data.size == 0:
        return None
    try:
        with quiet_opencv():
            return cv2.imdecode(data, flags)
    except cv2.error:
        return None


def _turned_like(with_alpha: NDArray[Any], upright: NDArray[Any]) -> NDArray[Any]:
    """The picture with alpha, brought to the orientation of the one without.

    OpenCV keeps the alpha only in a mode that ignores EXIF; which of the eight orientations it is, the pixels say.
    """
    for transposed in (with_alpha, with_alpha.swapaxes(0, 1)):
        for rows in (1, -1):
            for columns in (1, -1):
                turned = transposed[::rows, ::columns]
                if np.array_equal(turned[:, :, :3], upright):
                    return turned
    return with_alpha
