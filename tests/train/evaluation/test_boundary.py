"""Boundary IoU against masks whose bands are counted by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES
from rtparse.train.evaluation.boundary import boundary_counts, boundary_iou

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")
SIZE_HW = (60, 80)
DISTANCE = 2
"""2 % of the diagonal of 100 pixels."""


def with_box(top: int, left: int, height: int, width: int) -> np.ndarray:
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[top : top + height, left : left + width] = FACE
    return labels


def test_the_band_is_counted_by_hand() -> None:
    # A box of 20x30 inside the picture: its band is the box less the box of 16x26 inside.
    labels = with_box(20, 20, 20, 30)
    shared, union = boundary_counts(labels, labels)
    band = 20 * 30 - 16 * 26
    assert (shared[FACE], union[FACE]) == (band, band)
    # The background's: two pixels around the box, and two along the picture's edge.
    around = 24 * 34 - 20 * 30 + 60 * 80 - 56 * 76
    assert (shared[0], union[0]) == (around, around)
    assert not shared[1:FACE].any()


def test_a_shifted_box_by_hand() -> None:
    # Shifted by the band's width: of the upright bands nothing is shared but where they cross the level ones.
    labels, predicted = with_box(20, 20, 20, 30), with_box(20, 22, 20, 30)
    shared, union = boundary_counts(labels, predicted)
    band = 20 * 30 - 16 * 26
    # Level bands of 2 rows share 28 columns each, at top and bottom.
    assert shared[FACE] == 2 * 2 * 28
    assert union[FACE] == 2 * band - shared[FACE]
    plain = (labels == FACE) & (predicted == FACE)
    assert shared[FACE] / union[FACE] < plain.sum() / ((labels == FACE) | (predicted == FACE)).sum()


def test_the_inside_does_not_matter_and_the_outline_does() -> None:
    labels = with_box(15, 15, 30, 40)
    hole, ragged = labels.copy(), labels.copy()
    hole[29:31, 34:36] = HAIR
    ragged[15, 15:55:2] = 0
    whole, holed, frayed = (
        boundary_iou([boundary_counts(labels, predicted)], np.arange(20) == FACE)[FACE]
        for predicted in (labels, hole, ragged)
    )
    assert whole == 1
    # The hole opens a band of its own around it: 6x6 pixels less the hole of 2x2.
    band = 30 * 40 - 26 * 36
    assert holed == pytest.approx(band / (band + 6 * 6 - 2 * 2))
    assert frayed < 0.9


def test_the_definition_class_by_class_agrees() -> None:
    """Each class alone, by distances instead of windows, as the paper defines the band."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 4, (2, 6, 8), np.uint8)
    labels, predicted = (np.kron(side, np.ones((10, 10), np.uint8)) for side in coarse)
    labels[25:33, 10:30] = 255
    shared, union = boundary_counts(labels, predicted)
    predicted = np.where(labels == 255, np.uint8(255), predicted)
    for number in range(4):
        bands = []
        for side in (labels, predicted):
            mask = np.pad((side == number).astype(np.uint8), 1)
            # Chessboard distance to the nearest pixel outside the mask.
            depth = cv2.distanceTransform(mask, cv2.DIST_C, 3)[1:-1, 1:-1]
            bands.append((side == number) & (depth <= DISTANCE))
        assert shared[number] == (bands[0] & bands[1]).sum()
        assert union[number] == (bands[0] | bands[1]).sum()


def test_ignored_pixels_do_not_count() -> None:
    labels = with_box(20, 20, 20, 30)
    predicted = labels.copy()
    labels[:, 40:], predicted[:, 40:] = 255, HAIR
    shared, union = boundary_counts(labels, predicted)
    assert (shared == union).all()
    assert union[HAIR] == 0


def test_means_are_over_pictures_and_shown_classes() -> None:
    counts = [np.zeros((2, 20), np.int64) for _ in range(2)]
    counts[0][:, FACE] = 3, 4
    counts[1][:, FACE] = 1, 4
    counts[1][:, HAIR] = 0, 5
    shown = np.arange(20) == FACE
    found = boundary_iou(counts, shown)
    assert found[FACE] == pytest.approx(4 / 8)
    assert np.isnan(found[HAIR])
