"""Steadiness on moving pictures whose motion and labels are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES
from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.train.evaluation.temporal import EDGE, steadiness

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")
SIZE_HW = (96, 128)


def texture() -> np.ndarray:
    """(160, 240, 3) uint8 with detail of several sizes, so that every motion shows."""
    rng = np.random.default_rng(0)
    layers = [
        cv2.resize(rng.random((160 // s, 240 // s)), (240, 160), interpolation=cv2.INTER_CUBIC) for s in (3, 8, 20)
    ]
    grey = cv2.normalize(sum(layers), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def box() -> np.ndarray:
    """(160, 240) uint8: a face of 40x50."""
    labels = np.zeros((160, 240), np.uint8)
    labels[50:90, 60:110] = FACE
    return labels


def panned(count: int, step: int) -> list[Parsing]:
    """The camera moves by `step` pixels a frame to the right and one down; everything else stands."""
    height, width = SIZE_HW
    windows = [np.s_[i : i + height, step * i : step * i + width] for i in range(count)]
    picture, labels = texture(), box()
    return [Parsing(Frame(picture[window].copy()), labels[window].copy()) for window in windows]


def test_labels_that_move_with_the_picture_are_steady() -> None:
    found = steadiness(panned(8, 4))
    assert found.frames == 8
    assert found.followed > 0.6
    assert found.unchanged > 0.999
    assert found.unchanged_person > 0.995
    # In place they do change: 4 columns and one row on each side of the box.
    expected = 2 * (40 * 50 - 39 * 46) / (96 * 128)
    assert found.changed_in_place == pytest.approx(expected, rel=1e-6)
    assert found.changes_in_place == pytest.approx([expected] * 7)


def test_labels_that_stay_where_the_picture_moves_are_not() -> None:
    moving = panned(8, 4)
    stuck = [Parsing(parsing.frame, moving[0].labels) for parsing in moving]
    found = steadiness(stuck)
    assert found.changed_in_place == 0
    assert found.unchanged_person < 0.9


def test_flicker_by_hand() -> None:
    """A still picture whose face is called hair in two frames of every four, so every second pair of frames changes."""
    picture, labels = texture()[10:106, :128].copy(), box()[10:106, :128].copy()
    other = np.where(labels == FACE, np.uint8(HAIR), labels)
    frames = [Parsing(Frame(picture), labels if i % 4 < 2 else other) for i in range(9)]
    found = steadiness(frames)
    inside = (96 - 2 * EDGE) * (128 - 2 * EDGE)
    assert found.followed == pytest.approx(inside / (96 * 128))
    assert found.unchanged_person == pytest.approx(4 / 8)
    assert found.unchanged == pytest.approx(1 - 40 * 50 / inside * 4 / 8)
    assert found.changed_in_place == pytest.approx(40 * 50 / (96 * 128) * 4 / 8)
    assert found.changes_in_place == pytest.approx([0, 40 * 50 / (96 * 128)] * 4)


def test_nobody_in_view() -> None:
    frames = [Parsing(Frame(texture()[:96, :128].copy()), np.zeros(SIZE_HW, np.uint8)) for _ in range(3)]
    found = steadiness(frames)
    assert found.unchanged == 1
    assert np.isnan(found.unchanged_person)


def test_what_was_covered_before_is_not_followed() -> None:
    first, second = texture()[:96, :128].copy(), texture()[60:156, 100:228].copy()
    labels = np.zeros(SIZE_HW, np.uint8)
    cut = steadiness([Parsing(Frame(first), labels), Parsing(Frame(second), labels)])
    still = steadiness([Parsing(Frame(first), labels), Parsing(Frame(first), labels)])
    assert cut.followed < 0.5 * still.followed


def test_frames_of_another_size_begin_anew() -> None:
    small = [Parsing(Frame(texture()[:64, :64].copy()), np.zeros((64, 64), np.uint8)) for _ in range(2)]
    found = steadiness([*panned(2, 0), *small])
    assert (found.frames, len(found.changes_in_place)) == (4, 2)


@pytest.mark.parametrize("count", [0, 1])
def test_one_frame_is_no_video(count: int) -> None:
    with pytest.raises(UsageError, match=f"got {count} frame"):
        steadiness(panned(count, 1))
