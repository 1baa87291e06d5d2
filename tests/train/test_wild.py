"""`wild` must stay what it was when the first model was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtparse.errors import UsageError
from rtparse.train.compose import Pair
from rtparse.train.data import pair_paths, read_pair
from rtparse.train.wild import COUNT, SHA256, SIZE_HW, digest, wild_frames


def test_wild_is_the_committed_one(shared: Path) -> None:
    photos = [read_pair(*paths) for paths in pair_paths(shared / "data" / "ccp-lip" / "val")]
    assert digest(wild_frames(photos)) == SHA256


def test_one_photo_is_too_few() -> None:
    with pytest.raises(UsageError, match="2 photos or more, got 1"):
        next(wild_frames([Pair(np.zeros((64, 48, 3), np.uint8), np.zeros((64, 48), np.uint8))]))


def test_wild_frames_show_people_with_labels_inside_the_frame() -> None:
    rng = np.random.default_rng(3)
    photos = []
    for shade in (60, 120, 180, 240):
        image = np.full((128, 96, 3), shade, np.uint8) + rng.integers(0, 8, (128, 96, 3), dtype=np.uint8)
        labels = np.zeros((128, 96), np.uint8)
        labels[20:110, 30:60] = 5
        labels[20:40, 35:55] = 13
        photos.append(Pair(image, labels))
    # Fewer photos than people: a frame shows everyone but the photo that lent its background.
    frames = list(wild_frames(photos))
    assert len(frames) == COUNT
    assert {frame.image.shape for frame in frames} == {(*SIZE_HW, 3)}
    shares = np.array([(frame.labels != 0).mean() for frame in frames])
    assert (shares > 0).all()
    assert shares.max() < 0.9
    assert {int(label) for frame in frames for label in np.unique(frame.labels)} == {0, 5, 13}
