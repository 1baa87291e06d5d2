"""Where an effect works, and how its edge fades."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

_BLEED = 4  # pixels; as far as bilinear scaling and subsampled chroma reach


def selected(image: NDArray[np.uint8], parsing: Parsing, classes: Iterable[str] | None) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 where one of `classes` is, or any but the background for None; 0 elsewhere.

    Raises UsageError for an unknown class, for none at all, and for an image that is not the parsing's size.
    """
    if image.dtype != np.uint8 or image.shape != (*parsing.labels.shape, 3):
        raise UsageError(
            f"got an image of shape {image.shape} and dtype {image.dtype}",
            f"expected {(*parsing.labels.shape, 3)} uint8 BGR, as the parsing's labels (a cut-out comes last)",
        )
    wanted = np.full(256, 255, np.uint8)
    if classes is None:
        wanted[0] = 0
    else:
        ids = parsing.ids(classes)
        if not ids:
            raise UsageError("an effect was given no class", f"choose from: {', '.join(parsing.classes)}")
        wanted[:] = 0
        wanted[list(ids)] = 255
    return np.asarray(cv2.LUT(parsing.labels, wanted), np.uint8)


def soft(mask: NDArray[np.uint8], softness: int) -> NDArray[np.uint8]:
    """The mask (H, W) uint8 with an edge that fades over 2 * softness pixels inside it, so that nothing outside shows.

    0 where the mask is 0, and 255 further inside than the edge. A mask that touches the frame's border does not fade
    there.
    """
    if softness <= 0:
        return mask
    side = 2 * softness + 1
    inner = cv2.erode(mask, np.ones((side, side), np.uint8))
    return np.asarray(cv2.blur(inner, (side, side), borderType=cv2.BORDER_REPLICATE), np.uint8)


def blend(over: NDArray[np.uint8], under: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`over` where alpha (H, W) is 255, `under` where it is 0, both exactly, and a mixture between; new."""
    picture = under.copy()
    x, y, w, h = cv2.boundingRect(alpha)
    if w:
        box = np.s_[y : y + h, x : x + w]
        weight = alpha[box].astype(np.float32) / np.float32(255)
        picture[box] = cv2.blendLinear(over[box], under[box], weight, 1 - weight)
    return picture


def cutout(
    image: NDArray[np.uint8], parsing: Parsing, classes: Iterable[str] | None = None, *, softness: int = 1
) -> NDArray[np.uint8]:
    """The pixels of `classes` (None: of any but the background) with straight alpha: (H, W, 4) uint8 BGRA.

    softness: the edge fades over twice as many pixels, inside the mask; 0 is a hard edge.
    Alpha is 0 outside the mask, where nothing of the image is left: the colours of its edge go on for some pixels, so
    that scaled and subsampled edges do not turn dark, and black follows.
    """
    mask = selected(image, parsing, classes)
    picture = np.zeros((*mask.shape, 4), np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return picture
    box = np.s_[max(0, y - _BLEED) : y + h + _BLEED, max(0, x - _BLEED) : x + w + _BLEED]
    inside = mask[box]
    colours = np.zeros((*inside.shape, 3), np.uint8)
    cv2.copyTo(image[box], inside, colours)
    side = (2 * _BLEED + 1, 2 * _BLEED + 1)
    near = cv2.boxFilter(colours, cv2.CV_32F, side, borderType=cv2.BORDER_CONSTANT)
    share = cv2.boxFilter(inside, cv2.CV_32F, side, borderType=cv2.BORDER_CONSTANT) / np.float32(255)
    spread = cv2.convertScaleAbs(near / np.maximum(share, np.float32(1e-6))[:, :, None])
    cv2.copyTo(colours, inside, spread)
    picture[box] = cv2.merge([spread, soft(mask, softness)[box]])
    return picture
