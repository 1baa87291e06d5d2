"""Cutting out, painting over and pasting."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.train.compose import Pair, cover, cut_out, paste, remove_person, scaled, turned


def person_on_grey() -> Pair:
    image = np.full((80, 60, 3), 100, np.uint8)
    labels = np.zeros((80, 60), np.uint8)
    labels[20:70, 20:40] = 5
    labels[30:34, 25:30] = 255
    image[labels != 0] = (0, 0, 250)
    return Pair(image, labels)


def test_cut_out_is_tight() -> None:
    cut = cut_out(person_on_grey())
    assert cut.labels.shape == (50, 20)
    assert (cut.image[0, 0] == (0, 0, 250)).all()
    empty = Pair(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8))
    assert cut_out(empty).labels.shape == (4, 5)


def test_removed_person_leaves_its_surroundings() -> None:
    pair = person_on_grey()
    clean = remove_person(pair)
    assert np.abs(clean.astype(int) - 100).max() <= 3
    assert (pair.image[40, 30] == (0, 0, 250)).all()  # the photo itself is untouched


def test_cover_fills_and_crops_where_told() -> None:
    image = np.arange(100, dtype=np.uint8)[:, None, None].repeat(50, 1).repeat(3, 2)
    top, bottom = cover(image, (20, 50), (0.0, 0.0)), cover(image, (20, 50), (1.0, 0.0))
    assert top.shape == bottom.shape == (20, 50, 3)
    assert (top[0, 0, 0], bottom[-1, 0, 0]) == (0, 99)
    assert cover(image, (300, 400), (0.5, 0.5)).shape == (300, 400, 3)


def test_scaled_keeps_labels_pure() -> None:
    small = scaled(cut_out(person_on_grey()), 25)
    assert small.labels.shape == (25, 10)
    assert set(np.unique(small.labels)) <= {5, 255}


def test_turned_keeps_all_of_the_person() -> None:
    person = cut_out(person_on_grey())
    lying = turned(person, 90.0)  # counter-clockwise: the top comes to the left
    assert np.abs(np.subtract(lying.labels.shape, person.labels.shape[::-1])).max() <= 1
    assert (lying.labels == 5).sum() == (person.labels == 5).sum()
    columns = np.nonzero(lying.labels == 255)[1]
    assert columns.mean() < lying.labels.shape[1] / 2
    leaning = turned(person, 30.0)
    assert (leaning.labels == 5).sum() == pytest.approx((person.labels == 5).sum(), rel=0.05)
    assert leaning.labels.shape > person.labels.shape


def test_paste_clips_and_keeps_what_it_does_not_cover() -> None:
    scene = Pair(np.full((50, 50, 3), 200, np.uint8), np.full((50, 50), 9, np.uint8))
    person = cut_out(person_on_grey())
    paste(scene, person, -10, 40)  # over the upper right corner
    assert (scene.labels[:40, 40:] != 9).all()
    assert (scene.labels[40:, :] == 9).all()
    assert (scene.labels[:, :40] == 9).all()
    assert (scene.image[20, 45] == (0, 0, 250)).all()
    assert (scene.image[45, 10] == 200).all()
    assert 255 in scene.labels[:4, 45:50]  # what was ignored in the photo is ignored in the scene
    before = scene.labels.copy()
    paste(scene, person, 60, 0)  # wholly outside
    assert (scene.labels == before).all()
