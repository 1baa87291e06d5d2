"""Reading labelled pictures from disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.errors import SourceError, UsageError
from rtparse.train.data import pair_paths, read_pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for number in (2, 1):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.full((20, 10, 3), number, np.uint8))
        cv2.imwrite(str(tmp_path / "labels" / f"{number}.png"), np.full((20, 10), number, np.uint8))
    return tmp_path


def test_pairs_come_sorted_and_whole(folder: Path) -> None:
    pairs = [read_pair(*paths) for paths in pair_paths(folder)]
    assert [int(pair.labels[0, 0]) for pair in pairs] == [1, 2]
    assert pairs[0].image.shape == (20, 10, 3)


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures in"):
        pair_paths(tmp_path)


def test_missing_label_is_named(folder: Path) -> None:
    (folder / "labels" / "2.png").unlink()
    with pytest.raises(UsageError, match=r"2\.png has no label"):
        pair_paths(folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        # another size than the picture's
        (np.zeros((10, 10), np.uint8), r"1\.png is \(10, 10\)"),
        # an id that LIP does not have
        (np.full((20, 10), 20, np.uint8), r"holds the ids \[20\]"),
    ],
)
def test_wrong_labels_are_named(folder: Path, labels: np.ndarray, message: str) -> None:
    cv2.imwrite(str(folder / "labels" / "1.png"), labels)
    with pytest.raises(SourceError, match=message):
        read_pair(*pair_paths(folder)[0])


def test_unreadable_picture_is_named(folder: Path) -> None:
    (folder / "images" / "1.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"1\.png cannot be read"):
        read_pair(*pair_paths(folder)[0])
