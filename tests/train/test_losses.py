"""Losses against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rtparse.classes import IGNORE_LABEL
from rtparse.train.losses import ParsingLoss, distillation, rare_class_weights
from rtparse.train.model import Supervised

FLAT = math.log(20)
"""Cross-entropy where every class is alike."""


def logits(size: tuple[int, int], **raised: float) -> torch.Tensor:
    """(1, 20, H, W) of zeros, with classes raised: c3=50 raises class 3."""
    made = torch.zeros(1, 20, *size)
    for name, value in raised.items():
        made[:, int(name[1:])] = value
    return made


def labels_of(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows])


def test_the_sum_is_the_papers_and_ignored_pixels_do_not_count() -> None:
    labels = torch.full((1, 4, 4), 3)
    labels[0, 0] = IGNORE_LABEL
    flat, sure, loss = logits((2, 2)), logits((2, 2), c3=50), ParsingLoss()
    assert loss(flat, labels).total.item() == pytest.approx(FLAT)
    assert loss(sure, labels).total.item() == pytest.approx(0, abs=1e-6)
    assert loss(Supervised(sure, [flat] * 4), labels).total.item() == pytest.approx(0.5 * 4 * FLAT)
    parts = loss(Supervised(flat, [sure, flat, sure, sure]), labels)
    assert [part.item() for part in parts[:3]] == pytest.approx([1.5 * FLAT, FLAT, FLAT])
    assert parts.taught is None


def test_a_batch_without_labelled_pixels_costs_nothing() -> None:
    given = logits((2, 2)).requires_grad_()
    loss = ParsingLoss(torch.ones(20), label_smoothing=0.1, ohem=0.5)(given, torch.full((1, 4, 4), IGNORE_LABEL))
    loss.total.backward()
    assert loss.total.item() == 0
    assert given.grad is not None
    assert not given.grad.any()


def test_auxiliary_stride_judges_every_second_pixel() -> None:
    # class 3 where rows and columns are even, class 5 elsewhere: at stride 2 only class 3 is left
    labels = torch.full((1, 4, 4), 5)
    labels[:, ::2, ::2] = 3
    output = Supervised(logits((4, 4)), [logits((2, 2), c3=50)])
    assert ParsingLoss(auxiliary_stride=2)(output, labels).auxiliary.item() == pytest.approx(0, abs=1e-6)
    assert ParsingLoss(auxiliary_stride=1)(output, labels).auxiliary.item() == pytest.approx(50 * 12 / 16, rel=1e-5)


def test_class_weights_weigh_the_mean() -> None:
    weights = torch.ones(20)
    weights[1] = 3.0
    given = logits((1, 2))
    given[0, 0, 0, 0] = 50  # the first pixel is surely background, which is right; the second is anything
    found = ParsingLoss(weights)(given, labels_of([0, 1])).total.item()
    assert found == pytest.approx((1 * 0 + 3 * FLAT) / (1 + 3), abs=1e-6)


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    # p(3) = e² / (e² + 19); smoothing ε: (1 - ε) * -log p(3) + ε / 20 * the sum of -log p over all classes
    total = math.exp(2) + 19
    right, wrong = math.log(total) - 2, math.log(total)
    expected = 0.9 * right + 0.1 * (right + 19 * wrong) / 20
    found = ParsingLoss(label_smoothing=0.1)(logits((1, 1), c3=2.0), labels_of([3])).total.item()
    assert found == pytest.approx(expected)


def test_ohem_keeps_the_hardest_share_of_labelled_pixels() -> None:
    # losses from left to right: nothing, log 20, 50, and one ignored; half of three pixels is two
    given = logits((1, 4))
    given[0, 0, 0, 0] = 50
    given[0, 7, 0, 2] = 50
    labels = labels_of([0, 0, 0, IGNORE_LABEL])
    assert ParsingLoss(ohem=0.5)(given, labels).total.item() == pytest.approx((FLAT + 50) / 2, rel=1e-5)
    assert ParsingLoss(ohem=1 / 16)(given, labels).total.item() == pytest.approx(50, rel=1e-5)


def test_ohem_at_a_share_of_one_is_the_plain_loss() -> None:
    torch.manual_seed(0)
    given, labels = torch.randn(2, 20, 4, 4), torch.randint(0, 20, (2, 8, 8))
    plain, nearly_all = (ParsingLoss(ohem=share)(given, labels).total.item() for share in (1.0, 0.999999))
    assert plain == pytest.approx(nearly_all)


def test_distillation_is_the_divergence_at_a_temperature() -> None:
    # two classes differ: teacher 2 log 3 at T = 2 gives odds of 3 to 1 among those, student is flat
    teacher = torch.full((1, 20, 1, 1), -1e4)
    teacher[0, 0], teacher[0, 1] = 2 * math.log(3), 0.0
    student = torch.full((1, 20, 1, 1), -1e4)
    student[0, :2] = 0.0
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert distillation(student, teacher, 2.0).item() == pytest.approx(4 * divergence, rel=1e-5)
    assert distillation(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-7)


def test_rare_classes_weigh_more() -> None:
    pixels = np.zeros(20, np.int64)
    pixels[:2] = 9800, 200
    weights = rare_class_weights(pixels)
    assert (weights[1] / weights[0]).item() == pytest.approx((0.98 / 0.02) ** 0.3, rel=1e-3)
    assert (weights[0] * 0.98 + weights[1] * 0.02).item() == pytest.approx(1, rel=0.01)
    assert weights.max() <= 8
