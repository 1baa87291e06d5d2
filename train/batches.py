"""Micro-batches by their number, prepared ahead of the step that needs them."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from rtparse._cv import cv2
from rtparse.errors import RtparseError
from rtparse.train.mix import Batch
from rtparse.train.recipe import Recipe

AHEAD = 2
"""Micro-batches that are ready or being made, for each worker."""


class Source(Protocol):
    """What draws pictures, such as `rtparse.train.mix.Mix`."""

    def batch(self, index: int, count: int, size_hw: tuple[int, int]) -> Batch:
        """`count` pictures of one size, a function of `index` alone."""
        ...


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """images (N, H, W, 3) uint8 BGR, labels (N, H, W) uint8, and the number that they are a function of."""

    index: int
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Numbering:
    """Which micro-batches make a step: step s of rank r holds (s * accumulate + m) * world_size + r, m = 0, 1, ...

    count: pictures of one micro-batch.
    """

    count: int
    accumulate: int
    world_size: int
    rank: int

    def of_steps(self, start: int, stop: int) -> list[int]:
        """The numbers of this rank's micro-batches from step `start` to before `stop`, in order."""
        return [
            number * self.world_size + self.rank for number in range(start * self.accumulate, stop * self.accumulate)
        ]

    def step(self, index: int) -> int:
        """The step that a micro-batch belongs to."""
        return index // (self.accumulate * self.world_size)


class MicroBatches(Dataset[MicroBatch | RtparseError]):
    """Every micro-batch of a run, by number. Travels to worker processes, so the source must be picklable.

    An error is returned, not raised: a worker would wrap its traceback into the message.
    """

    def __init__(self, source: Source, recipe: Recipe, numbering: Numbering) -> None:
        self._source = source
        self._recipe = recipe
        self._numbering = numbering

    def __getitem__(self, index: int) -> MicroBatch | RtparseError:
        size_hw = self._recipe.batch_size_hw(self._numbering.step(index))
        try:
            drawn = self._source.batch(index, self._numbering.count, size_hw)
        except RtparseError as error:
            return error
        return MicroBatch(index, drawn.images, drawn.labels)


def in_order(batches: MicroBatches, indices: list[int], workers: int) -> Generator[MicroBatch]:
    """The micro-batches of these numbers, made ahead by worker processes, or by one thread where `workers` is 0.

    Close the iterator to end them. Raises what the source raised.
    """
    with closing(_by_thread(batches, indices) if workers == 0 else _by_processes(batches, indices, workers)) as row:
        for made in row:
            if isinstance(made, RtparseError):
                raise made
            yield made


def _by_processes(batches: MicroBatches, indices: list[int], workers: int) -> Generator[MicroBatch | RtparseError]:
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # with batch_size=None it gets single items
        worker_init_fn=_calm_worker,
        # A forked child would inherit the locks of threads that it does not have.
        multiprocessing_context="spawn",
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RtparseError(
            f"one of {workers} processes that make batches was killed, as happens where memory is full",
            "give fewer --workers",
        ) from None


def _by_thread(batches: MicroBatches, indices: list[int]) -> Generator[MicroBatch | RtparseError]:
    pending: deque[Future[MicroBatch | RtparseError]] = deque()
    pool = ThreadPoolExecutor(1, "rtparse-batches")
    try:
        for index in indices:
            pending.append(pool.submit(batches.__getitem__, index))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _as_it_is(made: MicroBatch | RtparseError) -> MicroBatch | RtparseError:
    return made


def _calm_worker(number: int) -> None:
    """Ctrl-C reaches the whole process group; the parent decides when its workers end. One thread each is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
