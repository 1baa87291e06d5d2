"""Photos of several datasets as one row."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.errors import UsageError
from rtparse.train.cache import ByteCache
from rtparse.train.data import Dataset, open_dataset
from rtparse.train.photos import Photos, repeat_rare


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    """Two folders of 3 and 5 pairs; the picture and label of a pair are its number, 0 to 7, everywhere."""
    for number in range(8):
        for kind in ("images", "labels"):
            path = tmp_path / ("few" if number < 3 else "more") / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((12, 12), number, np.uint8))
    return [open_dataset(f"folder:{tmp_path / name}") for name in ("few", "more")]


def test_numbers_run_over_all_datasets(datasets: list[Dataset]) -> None:
    photos = Photos([(dataset, 1.0) for dataset in datasets], None, ByteCache(10_000))
    assert len(photos) == 8
    assert photos.sizes == [3, 5]
    for _ in range(2):  # read, then kept
        assert [int(photos.pair(number).labels[0, 0]) for number in range(8)] == list(range(8))


def test_shares_decide_which_dataset(datasets: list[Dataset]) -> None:
    photos = Photos(list(zip(datasets, (3.0, 1.0), strict=True)), None, ByteCache(0))
    rng = np.random.default_rng(0)
    picked = np.bincount([photos.pick(rng) for _ in range(4000)], minlength=8) / 4000
    assert picked[:3].tolist() == pytest.approx([0.25] * 3, abs=0.03)
    assert picked[3:].tolist() == pytest.approx([0.05] * 5, abs=0.02)


def test_rare_classes_come_more_often(datasets: list[Dataset]) -> None:
    present = [np.zeros((3, 20), bool), np.zeros((5, 20), bool)]
    for each in present:
        each[:, 0] = True
    present[1][4, 3] = True  # a glove in one of five
    photos = Photos([(dataset, 1.0) for dataset in datasets], present, ByteCache(0))
    rng = np.random.default_rng(0)
    picked = np.bincount([photos.pick(rng) for _ in range(4000)], minlength=8)
    assert picked[7] / picked[3:7].mean() == pytest.approx(np.sqrt(0.25 / 0.2), rel=0.15)
    even = np.bincount([photos.pick(rng, rare=False) for _ in range(4000)], minlength=8)
    assert even[7] / even[3:7].mean() == pytest.approx(1, rel=0.15)
    with pytest.raises(UsageError, match="presence has 5 rows for the 3 pictures"):
        Photos([(datasets[0], 1.0)], [present[1]], ByteCache(0))


def test_repeat_factors() -> None:
    present = np.zeros((100, 20), bool)
    present[:, 0] = True
    present[:50, 5] = True
    present[0, 1] = True  # one in a hundred: sqrt(0.25 / 0.01) would be 5
    chance = repeat_rare(present)
    assert chance.sum() == pytest.approx(1)
    assert chance[0] / chance[1] == pytest.approx(4)
    assert chance[1] == chance[99]


def test_backgrounds_have_no_people(tmp_path: Path) -> None:
    image = np.full((80, 60, 3), 100, np.uint8)
    labels = np.zeros((80, 60), np.uint8)
    image[20:60, 20:40], labels[20:60, 20:40] = (0, 0, 250), 5
    for kind, picture in (("images", image), ("labels", labels)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "1.png"), picture)
    photos = Photos([(open_dataset(f"folder:{tmp_path}"), 1.0)], None, ByteCache(10**6))
    background = photos.background(0)
    assert np.abs(background.astype(int) - 100).max() <= 3
    assert (photos.pair(0).image == image).all()
    assert photos.background(0) is background
