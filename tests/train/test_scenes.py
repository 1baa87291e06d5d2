"""Composed frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.train.cache import ByteCache
from rtparse.train.compose import Pair
from rtparse.train.data import open_dataset
from rtparse.train.photos import Photos
from rtparse.train.scenes import backdrop, occluded, scene

SIZE_HW = (72, 128)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Two photos of someone red before grey noise."""
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.integers(90, 110, (80, 60, 3), np.uint8)
        labels = np.zeros((80, 60), np.uint8)
        labels[10:20, 25:35], labels[20:75, 20:40] = 13, 6
        image[labels > 0] = (0, 0, 250)
        for kind, picture in (("images", image), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{number}.png"), picture)
    return Photos([(open_dataset(f"folder:{tmp_path}"), 1.0)], None, ByteCache(10**6))


def test_a_sliver_of_someone_stays_small(tmp_path: Path) -> None:
    labels = np.zeros((80, 200), np.uint8)
    labels[78:, :] = 6
    for kind, picture in (("images", np.full((80, 200, 3), 90, np.uint8)), ("labels", labels)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "0.png"), picture)
    photos = Photos([(open_dataset(f"folder:{tmp_path}"), 1.0)], None, ByteCache(10**6))
    for seed in range(40):  # 2 pixels of height were made up to 128, and 200 of width 12 800
        assert (scene(photos, np.random.default_rng(seed), SIZE_HW).labels == 6).mean() < 0.5


def test_scenes_hold_none_to_many_people(photos: Photos) -> None:
    scenes = [scene(photos, np.random.default_rng(seed), SIZE_HW) for seed in range(80)]
    assert {(each.image.shape, each.labels.shape) for each in scenes} == {((*SIZE_HW, 3), SIZE_HW)}
    faces = [cv2.connectedComponents((each.labels == 13).astype(np.uint8))[0] - 1 for each in scenes]
    assert min(faces) == 0
    assert max(faces) >= 5
    dresses = [(each.labels == 6).mean() for each in scenes]
    assert max(dresses) > 0.2
    assert min(share for share in dresses if share) < 0.02


def test_labels_lie_on_people_and_nowhere_else(photos: Photos) -> None:
    red = []
    for seed in range(40):
        made = scene(photos, np.random.default_rng(seed), SIZE_HW)
        spread = made.image.max(2).astype(int) - made.image.min(2)  # of colours: people are red, all else is grey
        beyond = cv2.dilate((made.labels > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
        assert (spread[beyond] < 40).all()
        inner = cv2.erode((made.labels == 13).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        red.append(spread[inner] > 40)
    assert np.concatenate(red).mean() > 0.85  # a few are relit in grey


def test_some_people_lie(photos: Photos) -> None:
    lying = 0
    for seed in range(200):
        labels = scene(photos, np.random.default_rng(seed), SIZE_HW).labels
        face, dress = labels == 13, labels == 6
        if face.any() and cv2.connectedComponents(dress.astype(np.uint8))[0] == 2:  # one person, uncovered
            down, right = np.mean(np.nonzero(dress), axis=1) - np.mean(np.nonzero(face), axis=1)
            lying += abs(right) > abs(down)
    assert 2 <= lying < 60


def test_backdrops_are_the_callers(photos: Photos) -> None:
    for seed in range(20):
        made = backdrop(photos, np.random.default_rng(seed), (30, 70))
        assert made.shape == (30, 70, 3)
        assert made.max() < 130
        made[:] = 0
    assert photos.background(0).min() > 80


def test_what_covers_is_background(photos: Photos) -> None:
    person = Pair(np.full((60, 60, 3), 250, np.uint8), np.full((60, 60), 5, np.uint8))
    for seed in range(30):
        covered = occluded(person, photos, np.random.default_rng(seed))
        hidden = covered.labels == 0
        assert 0.005 < hidden.mean() < 0.3
        assert (covered.image[hidden] < 130).all()
        assert (covered.image[~hidden] == 250).all()
    assert (person.labels == 5).all()
