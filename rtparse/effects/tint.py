"""Hair and clothes in another colour, with their light and shade."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.effects.matte import blend, selected, soft

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

_HALVINGS = 12
_SAME = 0.5  # of CIELAB, where 1 is hardly seen


def recolour(
    image: NDArray[np.uint8],
    parsing: Parsing,
    classes: Iterable[str],
    colour_bgr: tuple[int, int, int],
    *,
    softness: int = 1,
) -> NDArray[np.uint8]:
    """`classes` in the hue and chroma of a colour; each pixel keeps its lightness (L* of CIELAB, D65).

    The colour's own lightness does not count: black hair becomes a dark red, not a bright one. Chroma falls with
    lightness, as it does in the shade on one material, and where sRGB ends.
    softness: the edge fades over twice as many pixels, inside the mask; 0 is a hard edge.
    """
    alpha = soft(selected(image, parsing, classes), softness)
    picture = image.copy()
    x, y, w, h = cv2.boundingRect(alpha)
    if w:
        box = np.s_[y : y + h, x : x + w]
        lightness = cv2.cvtColor(image[box], cv2.COLOR_BGR2Lab)[:, :, 0]
        tinted = np.asarray(cv2.applyColorMap(lightness, _shades(colour_bgr)), np.uint8)
        picture[box] = blend(tinted, image[box], alpha[box])
    return picture


@lru_cache(maxsize=64)
def _shades(colour_bgr: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(256, 1, 3) uint8 BGR: the colour at each lightness, 0..255 for L* 0..100, with as much chroma as sRGB holds."""
    target = cv2.cvtColor(np.array([[colour_bgr]], np.float32) / np.float32(255), cv2.COLOR_BGR2Lab)[0, 0]
    lightness = np.arange(256, dtype=np.float32) * np.float32(100 / 255)

    def lab(chroma: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([lightness, chroma * target[1], chroma * target[2]], 1)[:, None].astype(np.float32)

    low = np.zeros(256, np.float32)
    high = np.minimum(1, lightness / max(target[0], np.float32(1)))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        wanted = lab(middle)
        got = cv2.cvtColor(cv2.cvtColor(wanted, cv2.COLOR_Lab2BGR).clip(0, 1), cv2.COLOR_BGR2Lab)
        fits = np.abs(got - wanted).max((1, 2)) < _SAME
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.asarray(cv2.cvtColor(lab(low), cv2.COLOR_Lab2BGR).clip(0, 1) * 255 + 0.5, np.uint8)
