"""Boundary IoU: how well outlines fit.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR 2021): the IoU of two masks,
counted only where each mask is within a distance d of its own outline, d being 2 % of the picture's diagonal. A mask's
area grows faster than its outline, so plain IoU forgives large masks a ragged one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import IGNORE_LABEL, NUM_CLASSES

BAND = 0.02
"""Width of the band as a share of the picture's diagonal."""


def boundary_counts(labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(2, 20) pixel counts of one picture: by class, the intersection of the two bands and the pixels of the labels'
    and the prediction's bands together.

    labels, predicted: (H, W) uint8 of one size. Ignored pixels (255) of the labels do not count; to the outlines of
    both sides they are one more class. The picture's edge is part of an outline, as in the paper.
    """
    masked = np.where(labels == IGNORE_LABEL, labels, predicted)
    ours, theirs = _band(masked), _band(labels)
    both = ours & theirs & (masked == labels)
    shared, first, second = (
        np.bincount(ids, minlength=IGNORE_LABEL + 1)[:NUM_CLASSES]
        for ids in (labels[both], masked[ours], labels[theirs])
    )
    return np.stack([shared, first + second - shared]).astype(np.int64)


def boundary_iou(counts: Iterable[NDArray[np.int64]], shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(20,) IoU within the bands over all pictures' counts; nan for classes that are not `shown` in the labels."""
    shared, union = np.sum(list(counts), axis=0)
    return np.where(shown, shared / np.maximum(union, 1), np.nan)


def _band(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a pixel of another class, or the outside, is at most d rows and d columns away.

    One erosion and one dilation find it for all classes at once: inside a class the least and the greatest id agree.
    """
    distance = max(1, round(BAND * math.hypot(*labels.shape)))
    window = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    least, greatest = (
        change(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=IGNORE_LABEL)
        for change in (cv2.erode, cv2.dilate)
    )
    return np.asarray(least != greatest)
