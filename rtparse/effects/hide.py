"""Privacy: nothing of a hidden region is left but a few coarse means, so no sharpening brings it back.

A plain blur does not do: it can be undone, since it keeps nearly every number that went in. Both effects here first
reduce the region to a grid, coarse by the region's own size, and draw from the grid alone. Their edges are hard: a soft
one would mix the original back in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.effects.matte import selected

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

_SMALLEST_BLOCK = 4
MARGIN = 0.01
BLOCKS = 6


def pixelate(
    image: NDArray[np.uint8],
    parsing: Parsing,
    classes: Iterable[str],
    *,
    margin: float = MARGIN,
    blocks: int = BLOCKS,
) -> NDArray[np.uint8]:
    """Squares of one colour, the mean of the image's pixels in it, wherever one touches `classes`.

    margin: by how much the region grows on all sides, as a share of the frame's longer side.
    blocks: how many squares the longer side of the largest connected region has at most. The squares' side is a power
        of two and their corners stay in place from frame to frame, so that little flickers.
    """
    picture = image.copy()
    region = _grown(selected(image, parsing, classes), margin)
    if not region.any():
        return picture
    block = _block(region, blocks)
    box = _aligned_box(region, block)
    here, canvas = region[box], picture[box]
    sums, shares = _cells(image[box], np.full(here.shape, 255, np.uint8), block)
    means = cv2.convertScaleAbs(sums / shares[:, :, None])
    touched = (_cells(image[box], here, block)[1] > 0).astype(np.uint8)
    height, width = here.shape
    squares, mask = (cells.repeat(block, 0).repeat(block, 1)[:height, :width] for cells in (means, touched))
    cv2.copyTo(squares, mask, canvas)
    return picture


def blur(
    image: NDArray[np.uint8],
    parsing: Parsing,
    classes: Iterable[str],
    *,
    margin: float = MARGIN,
    blocks: int = BLOCKS,
) -> NDArray[np.uint8]:
    """A smooth surface through the means of the grid that `pixelate` shows, wherever `classes` are.

    margin, blocks: as for `pixelate`. Only pixels of the grown region count in the means, and only they change.
    """
    picture = image.copy()
    region = _grown(selected(image, parsing, classes), margin)
    if not region.any():
        return picture
    block = _block(region, blocks)
    box = _aligned_box(region, block)
    here, canvas = region[box], picture[box]
    # Cells that hold few pixels of the region would show them, so neighbours are mixed in by how many they hold.
    sums, shares = (
        cv2.GaussianBlur(cells, (3, 3), 0, borderType=cv2.BORDER_CONSTANT) for cells in _cells(image[box], here, block)
    )
    size = (shares.shape[1] * block, shares.shape[0] * block)
    sums, shares = (cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR) for cells in (sums, shares))
    height, width = here.shape
    surface = cv2.convertScaleAbs(sums / np.maximum(shares, np.float32(1e-6))[:, :, None])[:height, :width]
    cv2.copyTo(surface, here, canvas)
    return picture


def _grown(mask: NDArray[np.uint8], margin: float) -> NDArray[np.uint8]:
    radius = math.ceil(margin * max(mask.shape))
    if radius <= 0:
        return mask
    # A square in two passes, rows and then columns: its cost does not grow with the square of the radius.
    return np.asarray(cv2.dilate(mask, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.uint8)


def _block(region: NDArray[np.uint8], blocks: int) -> int:
    """The side of a square. One for the whole frame: of a face that sunglasses cut in two, the parts hide as well."""
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(side for outline in outlines for side in cv2.boundingRect(outline)[2:])
    return max(_SMALLEST_BLOCK, 1 << math.ceil(math.log2(max(1, longest / max(1, blocks)))))


def _aligned_box(region: NDArray[np.uint8], block: int) -> tuple[slice, slice]:
    """The region's box, grown to whole squares of the grid that begins at the frame's corner, cut at the frame."""
    x, y, w, h = cv2.boundingRect(region)
    return np.s_[y - y % block : math.ceil((y + h) / block) * block, x - x % block : math.ceil((x + w) / block) * block]


def _cells(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], block: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The grid's colours (h, w, 3), each times the share (h, w) of its square that the mask covers; both float32."""
    height, width = mask.shape
    inside = np.zeros((height + -height % block, width + -width % block), np.float32)
    inside[:height, :width] = mask / np.float32(255)
    colours = np.zeros((*inside.shape, 3), np.float32)
    colours[:height, :width] = image * inside[:height, :width, None]
    size = (inside.shape[1] // block, inside.shape[0] // block)
    sums, shares = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (colours, inside))
    return np.asarray(sums, np.float32), np.asarray(shares, np.float32)
