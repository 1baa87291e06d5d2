"""Sheets of pictures to look at: rows of pictures, labels and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import IGNORE_LABEL
from rtparse.train.compose import cover

CELL_HW = (192, 144)
GAP = 4


def coloured(labels: NDArray[np.uint8], image: NDArray[np.uint8], palette_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class ids (H, W) uint8 in the colours of a palette (20, 3) uint8 RGB: (H, W, 3) uint8 BGR.

    Ignored pixels show the image (H, W, 3) uint8 BGR, darkened: every plain colour may be one of a palette's.
    """
    table = np.zeros((IGNORE_LABEL + 1, 3), np.uint8)
    table[: len(palette_rgb)] = palette_rgb[:, ::-1]
    return np.where((labels == IGNORE_LABEL)[..., None], image // 3, table[labels])


def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], cell_hw: tuple[int, int] = CELL_HW) -> NDArray[np.uint8]:
    """One picture (H, W, 3) uint8 BGR of rows of equally many pictures, each cropped to a cell."""
    lines = [np.hstack([_framed(cover(picture, cell_hw, (0.5, 0.5))) for picture in row]) for row in rows]
    return np.vstack(lines)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((0, GAP), (0, GAP), (0, 0)))
