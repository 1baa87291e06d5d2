"""Segmentation metrics from confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import MIRROR_PAIRS, NUM_CLASSES
from rtparse.errors import UsageError


def confusion(labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(20, 20) pixel counts, rows are the labels, columns the prediction; ignored pixels (255) do not count."""
    if labels.shape != predicted.shape:
        raise UsageError(f"labels are {labels.shape}, the prediction is {predicted.shape}", "compare equal sizes")
    valid = labels < NUM_CLASSES
    pairs = labels[valid].astype(np.int64) * NUM_CLASSES + predicted[valid]
    return np.bincount(pairs, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures in 0..1; classes that the labels never show are nan in `iou` and left out of the means.

    interval: 95 % bootstrap interval of `miou` over pictures. miou_merged: with left and right made one class.
    person_iou: everything but background as one class, nan where the labels show nobody.
    """

    miou: float
    interval: tuple[float, float]
    miou_merged: float
    pixel_accuracy: float
    mean_accuracy: float
    person_iou: float
    iou: NDArray[np.float64]


def class_iou(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of every class, nan for a class without a labelled pixel."""
    hits = np.diag(matrix).astype(np.float64)
    shown = matrix.sum(axis=1)
    union = shown + matrix.sum(axis=0) - hits
    return np.where(shown > 0, hits / np.maximum(union, 1), np.nan)


def scores(matrices: Sequence[NDArray[np.int64]], resamples: int = 1000) -> Scores:
    """From one confusion matrix a picture. The bootstrap draws pictures with a fixed seed.

    Pictures without a labelled pixel do not take part. Raises UsageError where there is no other.
    """
    labelled = [matrix for matrix in matrices if matrix.any()]
    if not labelled:
        raise UsageError(f"{len(matrices)} pictures have no labelled pixel", "expected labels other than 255")
    stack = np.stack(labelled)
    total = stack.sum(axis=0)
    iou = class_iou(total)
    shown = total.sum(axis=1)
    rng = np.random.default_rng(0)
    draws = [class_iou(stack[rng.integers(len(stack), size=len(stack))].sum(axis=0)) for _ in range(resamples)]
    low, high = np.percentile([np.nanmean(draw) for draw in draws], (2.5, 97.5))
    accuracy = np.diag(total)[shown > 0] / shown[shown > 0]
    person = np.array([[total[0, 0], total[0, 1:].sum()], [total[1:, 0].sum(), total[1:, 1:].sum()]])
    return Scores(
        miou=float(np.nanmean(iou)),
        interval=(float(low), float(high)),
        miou_merged=float(np.nanmean(class_iou(_merge_sides(total)))),
        pixel_accuracy=float(np.diag(total).sum() / total.sum()),
        mean_accuracy=float(accuracy.mean()),
        person_iou=float(class_iou(person)[1]),
        iou=iou,
    )


def _merge_sides(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    fold = np.eye(NUM_CLASSES, dtype=np.int64)
    for left, right in MIRROR_PAIRS:
        fold[right, right], fold[right, left] = 0, 1
    return fold.T @ matrix @ fold
