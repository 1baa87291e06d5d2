"""Augmentation: labels follow the picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES, IGNORE_LABEL
from rtparse.train import augment
from rtparse.train.compose import Pair, scaled


def coded(height: int = 64, width: int = 48) -> Pair:
    """A picture whose blue channel is its label, so that both can be compared after any geometry."""
    labels = np.zeros((height, width), np.uint8)
    labels[8:40, 8:24] = CLASSES.index("left-arm")
    labels[8:40, 24:40] = CLASSES.index("coat")
    image = np.stack([labels * 12, np.zeros_like(labels), np.zeros_like(labels)], 2)
    return Pair(image, labels)


def test_mirror_swaps_sides_and_happens_half_the_time() -> None:
    rng = np.random.default_rng(0)
    mirrored = [augment.mirror(coded(), rng) for _ in range(100)]
    turned = [pair for pair in mirrored if CLASSES.index("right-arm") in pair.labels]
    assert 30 < len(turned) < 70
    assert (turned[0].labels[20, 30], turned[0].labels[20, 10]) == (CLASSES.index("right-arm"), CLASSES.index("coat"))


@pytest.mark.parametrize(
    ("scale", "degrees"),
    [
        (1.0, 0.0),
        (2.0, 0.0),
        (1.5, 20.0),
        # halved before the warp
        (0.4, 0.0),
    ],
)
def test_view_moves_picture_and_labels_together(scale: float, degrees: float) -> None:
    seen = augment.view(coded(128, 96), (96, 128), scale, degrees, (0.4, 0.5))
    assert seen.image.shape == (96, 128, 3)
    inside = seen.labels != IGNORE_LABEL
    agree = np.abs(seen.image[:, :, 0].astype(int) - seen.labels.astype(int) * 12) < 30
    assert agree[inside].mean() > 0.97  # all but the interpolated outlines


def middle(weights: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(weights.shape)
    return np.array([(weights * rows).sum(), (weights * columns).sum()]) / weights.sum()


@pytest.mark.parametrize(
    "smaller",
    [
        lambda pair: augment.view(pair, (800, 800), 0.5, 0.0, (0.41, 0.43)),
        lambda pair: augment.view(pair, (800, 800), 0.25, 20.0, (0.41, 0.43)),
        lambda pair: scaled(pair, 160),
        lambda pair: scaled(pair, 48),
    ],
)
def test_labels_lie_where_the_picture_does(smaller: Callable[[Pair], Pair]) -> None:
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(40):
        labels = np.zeros(rng.integers(400, 660, 2), np.uint8)
        (top, left), (rows, columns) = rng.integers(120, 160, 2), rng.integers(80, 130, 2)
        labels[top : top + rows, left : left + columns] = 5
        seen = smaller(Pair(np.repeat((labels[:, :, None] > 0) * np.uint8(255), 3, 2), labels))
        near = cv2.dilate((seen.labels == 5).astype(np.uint8), np.ones((9, 9)))
        apart.append(middle(seen.labels == 5) - middle(seen.image[:, :, 0].astype(float) * near))
    # By INTER_NEAREST, which takes the first of the pixels that become one, 0.3 to 0.5 of a pixel.
    assert np.abs(np.mean(apart, axis=0)).max() < 0.1


def test_view_outside_is_ignored_grey() -> None:
    seen = augment.view(coded(), (256, 256), 1.0, 0, (0.5, 0.5))
    assert (seen.labels[0] == IGNORE_LABEL).all()
    assert (seen.image[0] == (104, 116, 124)).all()


def test_recolouring_dyes_garments_only() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(40, 200, (64, 48, 3), dtype=np.uint8)
    pair = Pair(image, coded().labels)
    dyed = [augment.recolor_garments(pair, rng) for _ in range(60)]
    changed = [other for other in dyed if (other.image != image).any()]
    assert 5 < len(changed) < 40
    coat = pair.labels == CLASSES.index("coat")
    for other in changed:
        assert np.abs(other.image[~coat].astype(int) - image[~coat]).max() <= 3  # the way to HSV and back
        assert other.labels is pair.labels
    hues = {tuple(other.image[coat].mean(axis=0).round(-1)) for other in changed}
    assert len(hues) > 3


def test_light_and_camera_keep_shape_and_type() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    seen = [augment.camera(augment.light(image, rng), rng) for _ in range(40)]
    assert {(other.shape, other.dtype.name) for other in seen} == {((48, 64, 3), "uint8")}
    assert len({other.tobytes() for other in seen}) == 40
