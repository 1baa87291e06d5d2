"""Reading every pair once before training: what is wrong, and how often each class is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import quiet_opencv
from rtparse.classes import NUM_CLASSES
from rtparse.errors import SourceError
from rtparse.train.data.dataset import Dataset
from rtparse.train.data.rendered import RenderedPeople

THREADS = 8
CHUNK = 256
"""Pairs handed to the threads at once, so that Ctrl-C does not wait for all of them."""


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What a dataset holds.

    problems: a line for each pair that cannot be used, with its path. pixels: (20,) int64, of each class in all pairs.
    present: (N, 20) bool, which classes each pair shows, all False for a pair with a problem; N is 0 for rendered
    people, which have no end.
    """

    problems: tuple[str, ...]
    pixels: NDArray[np.int64]
    present: NDArray[np.bool_]


def check(dataset: Dataset, on_pair: Callable[[], None] = lambda: None) -> CheckReport:
    """Read every pair of a dataset in a few threads. Rendered people are right by construction and are not drawn.

    on_pair: called from this thread after each pair, to show progress of `len(dataset)`.
    """
    count = 0 if isinstance(dataset, RenderedPeople) else len(dataset)
    problems: list[str] = []
    pixels = np.zeros((count, NUM_CLASSES), np.int64)

    def read(index: int) -> NDArray[np.int64] | str:
        try:
            return np.bincount(dataset[index].labels.ravel(), minlength=256)[:NUM_CLASSES]
        except SourceError as error:
            return str(error)

    with quiet_opencv(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), "rtparse-check") as pool:
        for first in range(0, count, CHUNK):
            chunk = range(first, min(first + CHUNK, count))
            for index, found in zip(chunk, pool.map(read, chunk), strict=True):
                if isinstance(found, str):
                    problems.append(found)
                else:
                    pixels[index] = found
                on_pair()
    return CheckReport(tuple(problems), pixels.sum(axis=0), pixels > 0)
