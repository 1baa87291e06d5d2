"""From a decoded FFmpeg frame to an upright BGR picture with square pixels."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.sources.convert import to_bgr8

_UNSPECIFIED = 2  # of ITU-T H.273, matrix coefficients


class PictureReader:
    """Converts the frames of one stream; keeps FFmpeg's scaler between them. For one thread.

    pixel_aspect: width over height of a pixel as stored; pictures are widened (or narrowed) to square pixels.

    Colours follow the stream's tags: range (limited or full) and matrix (BT.601, 709, 2020). Where the matrix is not
    tagged, pictures of 1280 columns or more, or over 576 rows, are taken as BT.709 and the rest as BT.601, as players
    do. Alpha is laid over white. High dynamic range is not tone-mapped.
    """

    def __init__(self, pixel_aspect: Fraction = Fraction(1)) -> None:
        self._pixel_aspect = pixel_aspect
        self._scaler = VideoReformatter()
        self._rotation: int | None = None
        self._matrix = (1, 0, 0, 1)

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, C-contiguous, a new array that belongs to the caller."""
        alpha = any(component.is_alpha for component in frame.format.components)
        picture = self._scaler.reformat(
            frame,
            width=max(1, round(frame.width * self._pixel_aspect)),
            format="bgra" if alpha else "bgr24",
            src_colorspace=matrix_of(frame),
            src_color_range=frame.color_range,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()
        # Asking a frame for its side data ties it into a reference cycle, which would keep every frame's memory until
        # the next garbage collection: so ask again only when the rotation changes.
        if frame.rotation != self._rotation:
            self._rotation = frame.rotation
            self._matrix = display_matrix(frame)
        return _upright(to_bgr8(picture), self._matrix)


def matrix_of(frame: VideoFrame) -> int:
    """Code point of ITU-T H.273 for the matrix by which its colours are read."""
    if frame.colorspace != _UNSPECIFIED:
        return int(frame.colorspace)
    return int(Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of the frame's display matrix that turns: x' = ax + cy, y' = bx + dy, each -1, 0 or 1."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, Buffer):
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])  # rows of three: a b u, c d v
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _sign(a), 0, 0, _sign(d)
    return 0, _sign(b), _sign(c), 0


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


def _upright(picture: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    a, b, c, d = matrix
    if (a, d) == (0, 0):
        picture = np.asarray(cv2.transpose(picture), dtype=np.uint8)
        a, d = c, b  # what is left after exchanging x and y
    if (a, d) == (1, 1):
        return picture
    axis = {(-1, 1): 1, (1, -1): 0, (-1, -1): -1}[a, d]
    return np.asarray(cv2.flip(picture, axis), dtype=np.uint8)
