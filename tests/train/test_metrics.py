"""Metrics against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

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


def test_pictures_without_a_labelled_pixel_do_not_take_part() -> None:
    blank = confusion(np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8))
    labels = np.full((4, 4), HAIR, np.uint8)
    found = scores([confusion(labels, labels), blank, blank], resamples=50)
    assert (found.miou, found.interval) == (1, (1, 1))
    with pytest.raises(UsageError, match="2 pictures have no labelled pixel"):
        scores([blank, blank])


def test_torchmetrics_agrees() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 20, (4, 30, 40), np.uint8)
    labels[labels == CLASSES.index("glove")] = 0  # a class that the labels never show
    labels[:, :5] = 255
    predicted = np.where(rng.random(labels.shape) < 0.6, labels, rng.integers(0, 20, labels.shape)).astype(np.uint8)
    predicted[predicted == 255] = 7
    found = scores([confusion(*pair) for pair in zip(labels, predicted, strict=True)], resamples=1)
    given = torch.from_numpy(predicted.astype(np.int64)), torch.from_numpy(labels.astype(np.int64))
    shown = ~np.isnan(found.iou)
    assert not shown[CLASSES.index("glove")]
    iou = MulticlassJaccardIndex(20, average="none", ignore_index=255)(*given).numpy()
    assert found.iou[shown] == pytest.approx(iou[shown], abs=1e-6)
    recall = MulticlassAccuracy(20, average="none", ignore_index=255)(*given).numpy()
    assert found.mean_accuracy == pytest.approx(recall[shown].mean(), abs=1e-6)
    pixels = MulticlassAccuracy(20, average="micro", ignore_index=255)(*given)
    assert found.pixel_accuracy == pytest.approx(float(pixels), abs=1e-6)
