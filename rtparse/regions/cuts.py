"""Scene cuts, which make all that is known of people worthless."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.smoothing import CUT_DISTANCE, THUMBNAIL_SIDE

STRIDE_PIXELS = 128
"""Frames are sampled to about that many pixels a side before they are averaged: a cut needs no more."""

DEVIATION = 0.225 * 255
"""A standard deviation of the network's input, in grey levels: the unit of CUT_DISTANCE."""


class CutDetector:
    """Of the frames of one stream in order. The measure is that of `rtparse.smoothing`. Not thread-safe."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def __call__(self, image: NDArray[np.uint8]) -> bool:
        """Whether a frame (H, W, 3) uint8 is of another scene than the one before it; the first one is."""
        step_y, step_x = (max(1, side // STRIDE_PIXELS) for side in image.shape[:2])
        side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        sampled = np.ascontiguousarray(image[::step_y, ::step_x], np.float32)
        thumbnail = np.asarray(cv2.resize(sampled, side, interpolation=cv2.INTER_AREA), np.float32)
        before, self._before = self._before, thumbnail
        return before is None or float(np.abs(thumbnail - before).mean()) > CUT_DISTANCE * DEVIATION
