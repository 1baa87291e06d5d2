"""Reading one labelled picture, and saying what is wrong with it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SourceError
from rtparse.sources.images import decode_image
from rtparse.train.compose import Pair
from rtparse.train.data.classmaps import LIP, UNKNOWN, ClassMap

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH, _PNG_COLOUR_TYPE = 24, 25
"""Offsets in a PNG (W3C PNG, 11.2.1)."""
_PALETTE = 3
_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def read_pair(image_path: Path, label_path: Path, classes: ClassMap = LIP) -> Pair:
    """Read a picture, as `rtparse.sources.images` does, and its labels, with the ids of `classes` turned into LIP's.

    Raises SourceError naming the file that is missing, unreadable, of another size, or holds ids that `classes` lacks.
    """
    image = decode_image(image_path, np.frombuffer(_content(image_path), np.uint8))
    labels = read_labels(label_path)
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
    """(H, W) uint8 ids of a label file: 8-bit grey, or the indices of a PNG with a palette. Raises SourceError."""
    content = _content(path)
    if content.startswith(_PNG) and content[_PNG_COLOUR_TYPE] == _PALETTE:
        return _indices(path, content)
    if content.startswith(_PNG) and content[_PNG_BIT_DEPTH] < 8:  # OpenCV would spread such grey over 0..255
        raise SourceError(f"{path} has {content[_PNG_BIT_DEPTH]} bits a pixel", "expected 8-bit ids")
    labels = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if labels.dtype != np.uint8:
        raise SourceError(f"{path} has {labels.dtype.itemsize * 8} bits a pixel", "expected 8-bit ids")
    if labels.ndim == 3:
        if (labels[:, :, 0] != labels[:, :, 1]).any() or (labels[:, :, 0] != labels[:, :, 2]).any():
            raise SourceError(f"{path} holds colours", "expected ids: 8-bit grey, or a PNG with a palette")
        labels = np.ascontiguousarray(labels[:, :, 0])
    return labels


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{path} is missing") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from None
    # Decoders fill a JPEG that was cut short with grey. Neither marker can occur inside of compressed data, and those
    # of a thumbnail come first.
    cut_jpeg = content.startswith(_JPEG) and content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    if len(content) <= _PNG_COLOUR_TYPE or cut_jpeg:
        raise SourceError(f"{path} is cut short at {len(content)} bytes")
    return content


def _decoded(path: Path, content: bytes, flags: int) -> NDArray[np.uint8]:
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise SourceError(f"{path} cannot be read as a picture ({error.err})") from None
    if picture is None:
        raise SourceError(f"{path} cannot be read as a picture")
    return np.asarray(picture)


def _indices(path: Path, content: bytes) -> NDArray[np.uint8]:
    # OpenCV turns a palette into colours; FFmpeg keeps the indices, which are the ids.
    try:
        with av.open(BytesIO(content), "r") as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        raise SourceError(f"{path} cannot be read as a picture ({error})") from None
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
