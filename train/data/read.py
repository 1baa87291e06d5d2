"""Reading one labelled picture, and saying what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SourceError
from rtparse.train.compose import Pair
from rtparse.train.data.classmaps import LIP, UNKNOWN, ClassMap

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPE = 25
_PALETTE = 3


def read_pair(image_path: Path, label_path: Path, classes: ClassMap = LIP) -> Pair:
    """Read a picture and its labels, with the ids of `classes` turned into LIP's.

    Raises SourceError naming the file that is missing, unreadable, of another size, or holds ids that `classes` lacks.
    """
    image, labels = _picture(image_path, cv2.IMREAD_COLOR), read_labels(label_path)
    if image.shape[:2] != labels.shape:
        raise SourceError(
            f"{label_path} is {_size(labels)}, its picture {image_path} is {_size(image)} (width x height)",
            "a label has the size of its picture; was one of them scaled, or turned by a camera's orientation tag?",
        )
    mapped = classes.lut[labels]
    if UNKNOWN in mapped:
        unknown = np.unique(labels[mapped == UNKNOWN]).tolist()
        raise SourceError(
            f"{label_path} holds the ids {unknown}", f"{classes.name} has 0..{len(classes.names) - 1} and 255 (ignored)"
        )
    return Pair(image, mapped)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 ids of a label file: 8-bit grey, or the indices of a picture with a palette. Raises SourceError."""
    if _has_palette(path):
        return _indices(path)
    labels = _picture(path, cv2.IMREAD_UNCHANGED)
    if labels.dtype != np.uint8:
        raise SourceError(f"{path} has {labels.dtype.itemsize * 8} bits a pixel", "expected 8-bit ids")
    if labels.ndim == 3:
        if (labels[:, :, 0] != labels[:, :, 1]).any() or (labels[:, :, 0] != labels[:, :, 2]).any():
            raise SourceError(f"{path} holds colours", "expected ids: 8-bit grey, or a PNG with a palette")
        labels = np.ascontiguousarray(labels[:, :, 0])
    return labels


def _picture(path: Path, flags: int) -> NDArray[np.uint8]:
    try:
        content = cv2.imread(str(path), flags)
    except cv2.error as error:
        raise SourceError(f"{path} cannot be read as a picture ({error.err})") from None
    if content is None:
        if not path.exists():
            raise SourceError(f"{path} is missing")
        raise SourceError(f"{path} cannot be read as a picture")
    return np.asarray(content)


def _has_palette(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_PNG_COLOUR_TYPE + 1)
    except FileNotFoundError:
        raise SourceError(f"{path} is missing") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from None
    return head.startswith(_PNG) and head[_PNG_COLOUR_TYPE:] == bytes([_PALETTE])


def _indices(path: Path) -> NDArray[np.uint8]:
    # OpenCV turns a palette into colours; FFmpeg keeps the indices, which are the ids.
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        raise SourceError(f"{path} cannot be read as a picture ({error})") from None
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
