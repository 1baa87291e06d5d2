"""The class table and what mirrors it."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.classes import CLASSES, MIRROR_PAIRS, PALETTE_RGB, class_ids, mirror_labels
from rtparse.errors import UsageError


def test_table_is_lips() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 20
    assert [CLASSES.index(name) for name in ("hat", "coat", "face", "left-arm", "right-shoe")] == [1, 7, 13, 14, 19]
    assert {tuple(CLASSES[i].split("-")[0] for i in pair) for pair in MIRROR_PAIRS} == {("left", "right")}


def test_colours_can_be_told_apart() -> None:
    apart = np.abs(PALETTE_RGB[:, None].astype(int) - PALETTE_RGB[None]).sum(-1) + 999 * np.eye(20, dtype=int)
    assert apart.min() > 60


def test_ids_of_names() -> None:
    assert class_ids(("face", "hair")) == (13, 2)
    with pytest.raises(UsageError, match=r"'tail'.*background, hat"):
        class_ids(("tail",))


def test_mirror_twice_is_the_same() -> None:
    labels = np.array([[0, 14, 19, 255], [16, 17, 2, 18]], np.uint8)
    mirrored = mirror_labels(labels)
    assert mirrored.tolist() == [[255, 18, 15, 0], [19, 2, 16, 17]]
    assert (mirror_labels(mirrored) == labels).all()
