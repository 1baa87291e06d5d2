"""Less flicker: a running mean of logits that starts anew where the picture does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError

CUT_DISTANCE = 0.25
"""Mean absolute difference of two thumbnails, in standard deviations of the network's input, that is a scene cut.

Measured: consecutive frames of a person walking past a camera differ by 0.18 at most, cuts between clips of one studio
by 0.24 to 0.44, unrelated photographs by 0.67 or more.
"""

THUMBNAIL_SIDE = 16


class Smoother:
    """mean = strength * mean + (1 - strength) * logits, for the frames of one stream in order. Not thread-safe.

    The mean starts anew at the first frame, when the size changes, and at a scene cut: where the thumbnail (16x16) of
    the network's input differs from that of the frame before by more than CUT_DISTANCE. Motion so fast that it looks
    like a cut starts anew too, as it should: the old mean lies elsewhere.
    """

    def __init__(self, strength: float) -> None:
        """strength: 0 (no smoothing) up to, not including, 1. Raises UsageError outside."""
        if not 0 <= strength < 1:
            raise UsageError(f"got smooth {strength}", "expected a number from 0 (off) to below 1, such as 0.5")
        self._strength = strength
        self._mean: NDArray[np.float32] | None = None
        self._thumbnail: NDArray[np.float32] | None = None

    def __call__(self, network_input: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean after this frame: a new array (classes, h, w) float32, or `logits` themselves at strength 0.

        network_input: (3, H, W) float32 as `preprocess` makes it, of the same frame as the logits.
        """
        if self._strength == 0:
            return logits
        mean, before = self._mean, self._thumbnail
        self._thumbnail = thumbnail = _thumbnail(network_input)
        if mean is None or before is None or mean.shape != logits.shape or _distance(thumbnail, before) > CUT_DISTANCE:
            self._mean = logits
        else:
            rows = (len(logits), -1)
            blend = cv2.addWeighted(mean.reshape(rows), self._strength, logits.reshape(rows), 1 - self._strength, 0)
            self._mean = np.asarray(blend, np.float32).reshape(logits.shape)
        return self._mean


def _thumbnail(network_input: NDArray[np.float32]) -> NDArray[np.float32]:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.stack([np.asarray(cv2.resize(plane, side, interpolation=cv2.INTER_AREA)) for plane in network_input])


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).mean())
