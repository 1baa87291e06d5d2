"""Cutting people out of photos by their labels and pasting them into other pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtparse._cv import cv2


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture with its labels: image (H, W, 3) uint8 BGR, labels (H, W) uint8 with ids 0..19 or 255 (ignore)."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @classmethod
    def of(cls, image: ArrayLike, labels: ArrayLike) -> Pair:
        """From what OpenCV returns, whose types promise no dtype."""
        return cls(np.asarray(image, np.uint8), np.asarray(labels, np.uint8))


def cut_out(pair: Pair) -> Pair:
    """The box around everything that is not background. A photo without a person comes back whole."""
    rows = np.flatnonzero((pair.labels != 0).any(axis=1))
    columns = np.flatnonzero((pair.labels != 0).any(axis=0))
    if rows.size == 0:
        return pair
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Pair(pair.image[box], pair.labels[box])


def remove_person(pair: Pair) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 BGR with its people painted over from their surroundings (Telea's inpainting).

    Painted at a quarter of the size, where it is fast and the smear is smooth, then laid under the kept pixels.
    """
    person = cv2.dilate((pair.labels != 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    small_hw = max(pair.image.shape[0] // 4, 1), max(pair.image.shape[1] // 4, 1)
    small = cv2.resize(pair.image, small_hw[::-1], interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(person, small_hw[::-1], interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    wider = cv2.dilate(hole, np.ones((3, 3), np.uint8))
    filled = cv2.resize(cv2.inpaint(small, wider, 3, cv2.INPAINT_TELEA), pair.image.shape[1::-1])
    return np.where(person[:, :, None] > 0, filled, pair.image).astype(np.uint8)


def cover(image: NDArray[np.uint8], size_hw: tuple[int, int], place: tuple[float, float]) -> NDArray[np.uint8]:
    """Scale a picture until it covers a size, then crop; `place` (0..1, 0..1) says which rows and columns are kept."""
    height, width = size_hw
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled_wh = max(round(image.shape[1] * scale), width), max(round(image.shape[0] * scale), height)
    scaled = cv2.resize(image, scaled_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top = round(place[0] * (scaled.shape[0] - height))
    left = round(place[1] * (scaled.shape[1] - width))
    return np.asarray(scaled[top : top + height, left : left + width], np.uint8)


def scaled(person: Pair, height: int, nearest: int = cv2.INTER_NEAREST_EXACT) -> Pair:
    """A cut-out scaled to a height in pixels; labels by nearest neighbour.

    nearest: OpenCV's INTER_NEAREST takes the first pixel of those that become one, so labels come to lie half a pixel
    below and to the right of the picture, where INTER_NEAREST_EXACT takes the middle one.
    """
    wh = max(round(person.labels.shape[1] * height / person.labels.shape[0]), 1), max(height, 1)
    interpolation = cv2.INTER_AREA if height < person.labels.shape[0] else cv2.INTER_LINEAR
    return Pair.of(
        cv2.resize(person.image, wh, interpolation=interpolation),
        cv2.resize(person.labels, wh, interpolation=nearest),
    )


def turned(person: Pair, degrees: float) -> Pair:
    """A cut-out rotated counter-clockwise, its box grown to what it needs; labels by nearest neighbour."""
    height, width = person.labels.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wh = math.ceil(height * sin + width * cos - 1e-6), math.ceil(height * cos + width * sin - 1e-6)
    matrix[:, 2] += (wh[0] - width) / 2, (wh[1] - height) / 2
    return cut_out(
        Pair.of(
            cv2.warpAffine(person.image, matrix, wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            cv2.warpAffine(person.labels, matrix, wh, flags=cv2.INTER_NEAREST),
        )
    )


def paste(scene: Pair, person: Pair, top: int, left: int) -> None:
    """Draw a cut-out into a scene, in place, clipped at the scene's edges.

    The outline is softened by one pixel, as a lens would; ignored pixels of the person are drawn and stay ignored.
    """
    height, width = scene.labels.shape
    y0, y1 = max(top, 0), min(top + person.labels.shape[0], height)
    x0, x1 = max(left, 0), min(left + person.labels.shape[1], width)
    if y0 >= y1 or x0 >= x1:
        return
    source = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    target = np.s_[y0:y1, x0:x1]
    mask = (person.labels != 0).astype(np.uint8)
    alpha = cv2.blur(mask * np.uint8(255), (3, 3))[source].astype(np.uint16)[:, :, None]
    mixed = person.image[source] * alpha + scene.image[target] * (255 - alpha)
    scene.image[target] = ((mixed + 127) // 255).astype(np.uint8)
    inside = mask[source] > 0
    scene.labels[target][inside] = person.labels[source][inside]
