"""Rendered people as a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.train.data import open_dataset
from rtparse.train.data.rendered import SIZES_HW, RenderedPeople


def test_a_scene_is_a_function_of_seed_and_number() -> None:
    one, other = RenderedPeople(3), RenderedPeople(3)
    other[0]
    first, again = one[7], other[7]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(one[5:9][2].image, first.image)
    assert not np.array_equal(one.draw(7, (48, 36)).image, RenderedPeople(4).draw(7, (48, 36)).image)
    assert not np.array_equal(one.draw(7, (48, 36)).image, one.draw(8, (48, 36)).image)


def test_sizes_are_upright_and_wide() -> None:
    sizes = {pair.labels.shape for pair in RenderedPeople(0)[:12]}
    assert sizes <= set(SIZES_HW)
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)


def test_it_has_no_end_but_a_slice_has() -> None:
    train, val = open_dataset("synthetic"), open_dataset("synthetic", "val")
    assert len(train) > 10**9
    assert train.paths(5) == ()
    assert len(train[:40]) == 40
    with pytest.raises(IndexError):
        train[:40][40]
    assert not np.array_equal(train[0].labels, val[0].labels)


def test_people_stand_before_the_background_that_is_given() -> None:
    blue = np.zeros((30, 40, 3), np.uint8)
    blue[..., 0] = 200
    people = RenderedPeople(0)
    # Furniture and the sensor's noise aside, what is not a person is blue.
    pairs = [people.draw(i, (64, 48), blue) for i in range(6)]
    behind = np.concatenate([pair.image[pair.labels == 0] for pair in pairs])
    assert np.median(behind[:, 0]) > 120
    assert np.median(behind[:, 2]) < 60
