"""The mix: batches are a function of seed and index, wherever and whenever they are drawn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES, IGNORE_LABEL
from rtparse.errors import SourceError, UsageError
from rtparse.train.compose import Pair
from rtparse.train.data import Dataset, RenderedPeople, check, open_dataset
from rtparse.train.mix import Batch, Mix

SIZE_HW = (64, 48)


@pytest.fixture
def photos(tmp_path: Path, people: list[Pair]) -> Dataset:
    """The eight rendered pictures as a folder."""
    for number, pair in enumerate(people):
        for kind, picture in (("images", pair.image), ("labels", pair.labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{number}.png"), picture)
    return open_dataset(f"folder:{tmp_path}")


@pytest.fixture
def numbered(tmp_path: Path) -> Dataset:
    """Ten pictures, each a flat label from 0 to 9, without background for 1 to 9."""
    for number in range(10):
        for kind in ("images", "labels"):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{number}.png"), np.full((32, 24), number, np.uint8))
    return open_dataset(f"folder:{tmp_path}")


def video(photos: Dataset, **options: int) -> Mix:
    people = open_dataset("synthetic")
    presence = [check(photos).present, check(people).present]
    return Mix([(photos, 3.0), (people, 1.0)], "video", 5, presence, **options)


def same(one: Batch, other: Batch) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("style", ["video", "paper"])
def test_a_batch_is_a_function_of_seed_and_index(photos: Dataset, style: str) -> None:
    def mix(seed: int = 5, cache_bytes: int = 10**8) -> Mix:
        return video(photos, cache_bytes=cache_bytes) if style == "video" else Mix([(photos, 1.0)], "paper", seed)

    one = mix()
    cold = [one.batch(index, 4, SIZE_HW) for index in range(5)]
    assert cold[0].images.shape == (4, 64, 48, 3)
    assert cold[0].labels.shape == (4, 64, 48)
    assert cold[0].images.dtype == cold[0].labels.dtype == np.uint8
    assert not any(same(cold[0], other) for other in cold[1:])
    for index in (4, 0, 3, 3, 1):  # warm, and in another order
        assert same(one.batch(index, 4, SIZE_HW), cold[index])
    copy = pickle.loads(pickle.dumps(one))
    with ThreadPoolExecutor(3) as pool:
        drawn = list(pool.map(lambda index: copy.batch(index, 4, SIZE_HW), [2, 1, 4, 0, 3]))
    assert all(same(batch, cold[index]) for batch, index in zip(drawn, [2, 1, 4, 0, 3], strict=True))
    assert same(mix(cache_bytes=0).batch(3, 4, SIZE_HW), cold[3])
    for batch in cold:
        batch.images[:], batch.labels[:] = 0, 0  # they are the caller's
    assert one.batch(0, 4, SIZE_HW).images.any()


def test_another_process_draws_the_same(photos: Dataset, tmp_path: Path) -> None:
    mix = video(photos)
    (tmp_path / "mix").write_bytes(pickle.dumps(mix))
    code = (
        "import pickle, sys, cv2, numpy; from pathlib import Path; cv2.setNumThreads(1)\n"
        "batch = pickle.loads(Path('mix').read_bytes()).batch(3, 6, (48, 64))\n"
        "assert 'torch' not in sys.modules\n"
        "numpy.savez('drawn.npz', images=batch.images, labels=batch.labels)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    with np.load(tmp_path / "drawn.npz") as drawn:
        assert same(Batch(drawn["images"], drawn["labels"]), mix.batch(3, 6, (48, 64)))


def test_seeds_differ(photos: Dataset) -> None:
    assert not same(*(Mix([(photos, 1.0)], "video", seed).batch(0, 2, SIZE_HW) for seed in (0, 1)))


def test_video_holds_what_it_says(photos: Dataset) -> None:
    mix = Mix([(photos, 1.0)], "video", 0)
    batches = [mix.batch(index, 8, size) for index, size in enumerate([(64, 48), (48, 64), (48, 48)] * 4)]
    found = {int(label) for batch in batches for label in np.unique(batch.labels)}
    assert {0, IGNORE_LABEL, CLASSES.index("face"), CLASSES.index("left-arm"), CLASSES.index("right-arm")} <= found
    # Crops show the photo's edge, scenes do not.
    ignoring = np.concatenate([(batch.labels == IGNORE_LABEL).mean(axis=(1, 2)) for batch in batches]) > 0.02
    assert 0.15 < ignoring.mean() < 0.6


def test_weights_are_shares_of_the_pictures(numbered: Dataset) -> None:
    few, more = numbered[4:5], numbered[7:8]
    mix = Mix([(few, 1.0), (more, 3.0)], "video", 0)
    labels = [mix.batch(index, 16, (32, 24)).labels for index in range(8)]
    only = [{4, 7} & set(np.unique(picture).tolist()) for batch in labels for picture in batch]
    fours, sevens = only.count({4}), only.count({7})
    assert 0.12 < fours / (fours + sevens) < 0.38


def test_rendered_people_alone() -> None:
    people = open_dataset("synthetic")
    mix = Mix([(people, 1.0)], "video", 0, [check(people).present])
    assert (mix.batch(0, 4, SIZE_HW).labels % IGNORE_LABEL > 0).any()
    with pytest.raises(UsageError, match="no epoch"):
        _ = mix.epoch


def test_rendered_scenes_are_exchanged_little_by_little() -> None:
    drawn: list[int] = []

    class Counted(RenderedPeople):
        def draw(self, index: int, *arguments: Any) -> Pair:
            drawn.append(index)
            return Pair(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8))

    mix = Mix([(Counted(0), 1.0)], "video", 1)
    assert len(mix.batch(0, 1500, (16, 16)).images) == 1500
    assert len(drawn) == len(set(drawn))
    assert 450 < len(drawn) <= 512
    first = set(drawn)
    mix.batch(399, 1500, (16, 16))
    assert len(drawn) == len(set(drawn))
    assert 60 < len(set(drawn) - first) <= 99 + 512 - len(first)
    Mix([(Counted(0), 1.0)], "video", 2).batch(0, 4, (16, 16))
    assert drawn[-1] not in drawn[:-4]


def test_paper_shows_every_photo_once_an_epoch(numbered: Dataset) -> None:
    mix = Mix([(numbered, 1.0)], "paper", 1)
    assert mix.epoch == 10
    assert sorted(mix.order(0).tolist()) == list(range(10))
    assert mix.order(0).tolist() != mix.order(1).tolist()
    assert mix.order(1).tolist() == Mix([(numbered, 1.0)], "paper", 1).order(1).tolist()
    # Three epochs in batches of four, which straddle their ends.
    drawn = [mix.batch(index, 4, (32, 24)) for index in range(8)]
    shown = [int(picture[picture != IGNORE_LABEL].max()) for batch in drawn for picture in batch.labels][:30]
    assert shown == [*mix.order(0), *mix.order(1), *mix.order(2)]
    # The same picture in two epochs is cropped anew.
    assert len({batch.labels.tobytes() for batch in drawn}) == 8


def test_paper_weights_are_repeats(numbered: Dataset) -> None:
    mix = Mix([(numbered[:4], 2.0), (numbered[4:], 0.5)], "paper", 0)
    assert mix.epoch == 11
    for epoch in range(3):
        counts = np.bincount(mix.order(epoch), minlength=10)
        assert counts[:4].tolist() == [2] * 4
        assert sorted(counts[4:].tolist()) == [0, 0, 0, 1, 1, 1]
    assert len({tuple(sorted(mix.order(epoch).tolist())) for epoch in range(8)}) > 1  # another half each time


def test_paper_changes_geometry_and_nothing_else(numbered: Dataset) -> None:
    batch = Mix([(numbered, 1.0)], "paper", 0).batch(0, 10, SIZE_HW)
    for image, labels in zip(batch.images, batch.labels, strict=True):
        # The photo's outline is blended into the padding.
        shown = np.pad((labels != IGNORE_LABEL).astype(np.uint8), 9)
        inner = cv2.erode(shown, np.ones((7, 7), np.uint8))[9:-9, 9:-9] > 0
        (colour,) = np.unique(image[inner])
        assert (labels[inner] == colour).all()


def test_paper_mirrors_every_second(photos: Dataset) -> None:
    arms = [number for number, pair in enumerate(photos) if 14 in pair.labels and 15 not in pair.labels]
    mix = Mix([(photos[arms[0] : arms[0] + 1], 1.0)], "paper", 0)
    drawn = [set(np.unique(mix.batch(index, 1, SIZE_HW).labels).tolist()) & {14, 15} for index in range(40)]
    assert 8 < drawn.count({14}) < 32
    assert 8 < drawn.count({15}) < 32


@pytest.mark.parametrize(
    ("weights", "style", "message"),
    [
        ((1.0,), "fast", "no style 'fast'; choose from: video, paper"),
        ((), "video", "no datasets"),
        ((0.0,), "video", "weight of folder:.* is 0.0"),
        ((float("nan"),), "video", "is nan"),
    ],
)
def test_what_cannot_be_meant_is_said(numbered: Dataset, weights: tuple[float, ...], style: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mix([(numbered, weight) for weight in weights], style)  # type: ignore[arg-type]


def test_windows_are_parts_of_the_same_pictures(photos: Dataset) -> None:
    whole, parts = video(photos).batch(3, 4, SIZE_HW), video(photos, window_side=32).batch(3, 4, SIZE_HW)
    assert parts.images.shape == (4, 32, 32, 3)
    for picture, part in zip(whole.images, parts.images, strict=True):
        found = cv2.matchTemplate(picture, part, cv2.TM_SQDIFF)
        assert found.min() == 0
    assert video(photos, window_side=64).batch(3, 4, SIZE_HW).labels.shape == (4, 48, 48)  # no larger than the picture
    with pytest.raises(UsageError, match="no windows"):
        Mix([(photos, 1.0)], "paper", window_side=32)


def test_the_papers_recipe_needs_an_end(numbered: Dataset) -> None:
    with pytest.raises(UsageError, match="rendered people have no end"):
        Mix([(numbered, 1.0), (open_dataset("synthetic"), 1.0)], "paper")


def test_a_photo_that_breaks_later_is_named(numbered: Dataset) -> None:
    mix = Mix([(numbered, 1.0)], "paper", 0)
    for number in range(10):
        numbered.paths(number)[0].unlink()
    with pytest.raises(SourceError, match=r"\d\.png is missing"):
        mix.batch(0, 2, SIZE_HW)
