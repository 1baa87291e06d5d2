"""The photos of a mix: several datasets as one numbered row, read and inpainted when they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError
from rtparse.train.cache import ByteCache
from rtparse.train.compose import Pair, remove_person
from rtparse.train.data.dataset import Dataset


class Photos:
    """Labelled photos by number, over all datasets in order. Thread-safe, picklable; see `ByteCache`.

    Raises SourceError, naming the file, when a photo is drawn that cannot be used: check datasets before training.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Dataset, float]],
        presence: Sequence[NDArray[np.bool_]] | None,
        cache: ByteCache,
    ) -> None:
        """parts: datasets and their shares, summing to any number. presence: of each dataset, (N, 20) bool, or None.

        cache: where pictures are kept, by keys of this class's own.
        """
        self._datasets = [dataset for dataset, _ in parts]
        self.weights = [weight for _, weight in parts]
        self._starts = np.cumsum([0, *(len(dataset) for dataset in self._datasets)])
        shares = np.cumsum(self.weights)
        self._shares = shares / shares[-1]
        self._rare = [None] * len(parts) if presence is None else [np.cumsum(repeat_rare(each)) for each in presence]
        for dataset, rare in zip(self._datasets, self._rare, strict=True):
            if rare is not None and len(rare) != len(dataset):
                raise UsageError(f"presence has {len(rare)} rows for the {len(dataset)} pictures of {dataset.name}")
        self._cache = cache

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sizes(self) -> list[int]:
        """Photos of each dataset."""
        return [len(dataset) for dataset in self._datasets]

    def pick(self, rng: np.random.Generator, *, rare: bool = True) -> int:
        """The number of a random photo: of a dataset by its share, there more often where it shows `rare` classes."""
        part = int(np.searchsorted(self._shares, rng.random(), "right"))
        chances, at = self._rare[part], rng.random()
        if rare and chances is not None:
            inside = int(np.searchsorted(chances, at, "right"))
        else:
            inside = int(at * len(self._datasets[part]))
        return int(self._starts[part]) + min(inside, len(self._datasets[part]) - 1)

    def pair(self, number: int) -> Pair:
        """A photo; read-only, since it is kept."""
        return Pair(*self._cache.get(("photo", number), lambda: self._read(number)))

    def background(self, number: int) -> NDArray[np.uint8]:
        """A photo with its people painted over, (H, W, 3) uint8 BGR; read-only."""
        return self._cache.get(("background", number), lambda: (remove_person(self.pair(number)),))[0]

    def _read(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        part = int(np.searchsorted(self._starts, number, "right")) - 1
        pair = self._datasets[part][number - int(self._starts[part])]
        return pair.image, pair.labels


def repeat_rare(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Chance of each photo: larger where it shows classes that few photos have (Gupta et al., LVIS, repeat factors).

    present: (N, 20) bool. Returns (N,) float64 that sum to 1; a class in a 64th of the photos or fewer counts fourfold.
    """
    frequency = present.mean(axis=0).clip(1e-6)
    factor = np.sqrt(0.25 / frequency).clip(1.0, 4.0)
    repeats = np.where(present, factor, 1.0).max(axis=1)
    return np.asarray(repeats / repeats.sum())
