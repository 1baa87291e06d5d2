"""Another background behind the people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.effects.matte import blend, selected, soft

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

_SIGMA_OF_SMALL = 3.0


def replace_background(
    image: NDArray[np.uint8],
    parsing: Parsing,
    background: NDArray[np.uint8] | tuple[int, int, int],
    *,
    softness: int = 1,
) -> NDArray[np.uint8]:
    """`background` wherever the background is.

    background: a colour (blue, green, red), or a picture (h, w, 3) uint8 BGR, which is scaled to fill the frame and cut
        at two sides, evenly. A picture of the frame's size costs no scaling.
    softness: the people's edge fades over twice as many pixels, inside of them, so that nothing of the old background
        shows; 0 is a hard edge.
    """
    alpha = soft(selected(image, parsing, None), softness)
    height, width = alpha.shape
    if isinstance(background, tuple):
        pixel = np.array([[background]], np.uint8)
        under = cv2.copyMakeBorder(pixel, 0, height - 1, 0, width - 1, cv2.BORDER_REPLICATE)
    else:
        under = cover(background, (height, width))
    return blend(image, np.asarray(under, np.uint8), alpha)


def blur_background(
    image: NDArray[np.uint8], parsing: Parsing, *, strength: float = 0.02, softness: int = 1
) -> NDArray[np.uint8]:
    """The background out of focus, with no halo: the people's pixels are left out of it.

    strength: the Gaussian's sigma as a share of the frame's longer side. This is for looks: what was there can be
    guessed, see `blur` for privacy.
    softness: as for `replace_background`.
    """
    people = selected(image, parsing, None)
    height, width = people.shape
    sigma = max(0.0, strength) * max(height, width)
    if sigma == 0:
        return image.copy()
    reduced = max(1, int(sigma / _SIGMA_OF_SMALL))  # a wide Gaussian of a small picture is cheap, and looks the same
    size = (math.ceil(width / reduced), math.ceil(height / reduced))
    behind = np.zeros_like(image)
    cv2.copyTo(image, 255 - people, behind)
    small = (
        cv2.resize(each.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for each in (behind, (255 - people) / np.float32(255))
    )
    sums, shares = (cv2.GaussianBlur(each, (0, 0), sigma / reduced) for each in small)
    means = cv2.convertScaleAbs(sums / np.maximum(shares, np.float32(1e-3))[:, :, None])
    blurred = np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return blend(image, blurred, soft(people, softness))


def cover(picture: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture scaled to fill a size and cut at two sides, evenly; itself where it has that size. Thread-safe."""
    height, width = picture.shape[:2]
    if (height, width) == size_hw:
        return picture
    scale = max(size_hw[0] / height, size_hw[1] / width)
    scaled_wh = (max(size_hw[1], round(width * scale)), max(size_hw[0], round(height * scale)))
    scaled = cv2.resize(picture, scaled_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (scaled_wh[1] - size_hw[0]) // 2, (scaled_wh[0] - size_hw[1]) // 2
    return np.ascontiguousarray(scaled[top : top + size_hw[0], left : left + size_hw[1]], np.uint8)
