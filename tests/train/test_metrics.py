"""Metrics against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.classes import CLASSES
from rtparse.errors import UsageError
from rtparse.train.metrics import confusion, scores

HAIR, LEFT_ARM, RIGHT_ARM = (CLASSES.index(name) for name in ("hair", "left-arm", "right-arm"))


def test_confusion_counts_pixels_and_skips_ignored_ones() -> None:
    labels = np.array([[0, 0, HAIR], [HAIR, 255, 255]], np.uint8)
    predicted = np.array([[0, HAIR, HAIR], [0, HAIR, 0]], np.uint8)
    matrix = confusion(labels, predicted)
    assert matrix.sum() == 4
    assert (matrix[0, 0], matrix[0, HAIR], matrix[HAIR, HAIR], matrix[HAIR, 0]) == (1, 1, 1, 1)


def test_scores_by_hand() -> None:
    # 6 background (5 right, 1 taken for hair), 4 left arm (1 right, 3 taken for the right arm).
    labels = np.array([[0] * 6 + [LEFT_ARM] * 4], np.uint8)
    predicted = np.array([[0] * 5 + [HAIR] + [LEFT_ARM] + [RIGHT_ARM] * 3], np.uint8)
    found = scores([confusion(labels, predicted)], resamples=10)
    assert found.iou[0] == pytest.approx(5 / 6)
    assert found.iou[LEFT_ARM] == pytest.approx(1 / 4)
    assert np.isnan(found.iou[HAIR])  # never labelled, so it is no class of this set
    assert np.isnan(found.iou[RIGHT_ARM])
    assert found.miou == pytest.approx((5 / 6 + 1 / 4) / 2)
    assert found.miou_merged == pytest.approx((5 / 6 + 1) / 2)
    assert found.pixel_accuracy == pytest.approx(6 / 10)
    assert found.mean_accuracy == pytest.approx((5 / 6 + 1 / 4) / 2)
    assert found.person_iou == pytest.approx(4 / 5)
    assert found.interval == pytest.approx((found.miou, found.miou))  # one picture cannot vary


def test_interval_spans_the_spread_between_pictures() -> None:
    labels = np.zeros((4, 4), np.uint8)
    labels[:2] = HAIR
    right, wrong = confusion(labels, labels), confusion(labels, np.zeros_like(labels))
    found = scores([right, wrong] * 10)
    assert found.interval[0] < found.miou < found.interval[1]


def test_sizes_must_agree() -> None:
    with pytest.raises(UsageError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
