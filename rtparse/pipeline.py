"""Stages in threads: reading, computing and consuming overlap, in order, through bounded queues.

    with Pipeline([source, other], [Stage(compute, workers=2), Stage(finish)], batch=2, stop=close_both) as results:
        for result in results: ...

Every input is read in a thread of its own. What is ready, at most one item of each input, travels as one batch, so an
input that has nothing to give holds no other. Every stage hands on its batches in the order of their start, however
many workers it has: a worker that takes a batch puts a promise for its results (a Future) into the next queue at once,
and keeps it later. So the results of each input come in its order. An exception travels in the place of the results,
and the news that an input has ended, with or without an error, in the place of a batch.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from rtparse.channels import Channel, Closed, LaneEnded, Lanes
from rtparse.closing import Closing
from rtparse.errors import EngineError

Item = TypeVar("Item")

STOP_SECONDS = 5.0
"""How long closing waits for iterables that do not end when they are told to, such as a user's own generator."""

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class Stage:
    """work: from a batch, a list, to the list of its results. With more than one worker it must be thread-safe.

    waiting: batches of results that may wait for the next stage; 0 for as many as there are workers.
    """

    work: Callable[[list[Any]], list[Any]]
    workers: int = 1
    waiting: int = 0


class Pipeline(Closing, Generic[Item]):
    """An iterator over the single results of the last stage, to be used from one thread.

    Threads start with the first result asked for. They have ended when `close` returns: at the end of all inputs, after
    an exception, on leaving the `with` block, when the pipeline is dropped. No more batches wait before a stage than
    the stage before it has workers, or says, so memory is bounded and what a slow consumer sees is fresh.

    An input that raises ends alone: the others go on, and the first such error is raised at the end of all. What a
    stage raises ends everything, after the results of the batches before it. A process that is forked later has none of
    the threads: there the next result is an EngineError, and closing does nothing.
    """

    def __init__(
        self,
        inputs: Sequence[Iterable[Any]],
        stages: Sequence[Stage],
        *,
        batch: int = 1,
        kind: Callable[[Any], Hashable] = lambda item: None,
        live: Sequence[bool] = (),
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """inputs: each is read in a thread of its own.

        batch: the most items that a stage is given at once.
        kind: of an item; those of one kind may share a batch. Called while reading.
        live: for each input, whether its item that waits before the first stage is dropped for its next one, rather
            than the input kept waiting; none when left out.
        stop: makes blocked iterations over the inputs end; called once, from another thread.
        """
        self._inputs = inputs
        self._kind = kind
        self._stages = stages
        self._stop = stop
        self._readers: list[Thread] = []
        self._workers: list[Thread] = []
        self._lanes: Lanes[Any] = Lanes(live or [False] * len(inputs), batch)
        self._channels: list[Channel[Future[list[Any]]]] = [Channel(stage.waiting or stage.workers) for stage in stages]
        self._results: deque[Item] = deque()
        self._ended: dict[int, BaseException | None] = {}
        self._process = 0  # that has the threads
        self._closed = False

    @property
    def dropped(self) -> int:
        """How many items of live inputs were dropped so far."""
        return self._lanes.dropped

    @property
    def ended(self) -> Mapping[int, BaseException | None]:
        """The inputs, by number, all of whose results have been taken, and what each ended with: None is its end."""
        return MappingProxyType(self._ended)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._process not in (0, os.getpid()):
            raise EngineError(
                "this process was forked after the stream had begun, whose threads are in the other one",
                'open it here, and start processes by multiprocessing.get_context("spawn") where there is a GPU',
            )
        try:
            if not self._process:
                self._start()
            while not self._results and self._take():
                pass
        except BaseException:
            self.close()
            raise
        if self._results:
            return self._results.popleft()
        raising = not self._closed
        self.close()
        for error in self._ended.values():
            if error is not None and raising:
                raise error
        raise StopIteration

    def close(self) -> None:
        """Stop all stages and wait until their threads have ended. Calling it again does nothing."""
        if self._closed or self._process not in (0, os.getpid()):
            return
        self._closed = True
        self._lanes.close()
        for channel in self._channels:
            channel.close()
        self._results.clear()
        try:
            self._stop()
        finally:
            for thread in self._workers:
                thread.join()
            deadline = time.monotonic() + STOP_SECONDS
            for thread in self._readers:
                thread.join(max(0.0, deadline - time.monotonic()))
            if any(thread.is_alive() for thread in self._readers):
                _log.warning("the source still blocks %g s after it was closed; its thread is left", STOP_SECONDS)

    def __del__(self) -> None:
        # A `for` loop that was left with `break` drops its iterator: the threads end there.
        self.close()

    def _start(self) -> None:
        self._process = os.getpid()
        for lane, items in enumerate(self._inputs):
            arguments = (items, self._lanes, lane, self._kind)
            self._readers.append(Thread(target=_read, args=arguments, name=f"rtparse-read-{lane}", daemon=True))
        take: Callable[[], Future[list[Any]]] = partial(_kept, self._lanes)
        for i, (stage, results) in enumerate(zip(self._stages, self._channels, strict=True)):
            line = _Line(take, results, stage.work)
            self._workers += [Thread(target=line.run, name=f"rtparse-{i}", daemon=True) for _ in range(stage.workers)]
            take = results.get
        for thread in (*self._readers, *self._workers):
            thread.start()

    def _take(self) -> bool:
        """Wait for the next batch of results; False at the end of all. Raises what a stage raised."""
        try:
            self._results.extend(self._channels[-1].get().result())
        except Closed:
            return False
        except LaneEnded as news:
            self._ended[news.lane] = news.error
            if news.error is not None and len(self._ended) < len(self._inputs):
                _log.warning("source %d has failed, the others go on: %s", news.lane, news.error)
        return True


# The threads hold channels, never the pipeline, so that it can be dropped while they run.


def _read(items: Iterable[Any], lanes: Lanes[Any], lane: int, kind: Callable[[Any], Hashable]) -> None:
    try:
        error: BaseException | None = None
        try:
            for item in items:
                lanes.put(lane, item, kind(item))
        except Closed:
            raise
        except BaseException as raised:
            error = raised
        lanes.end(lane, error)
    except Closed:
        pass


def _kept(lanes: Lanes[Any]) -> Future[list[Any]]:
    """The next batch as a promise that is kept already: what the first stage takes looks like what the others take."""
    taken = lanes.get()
    kept: Future[list[Any]] = Future()
    if isinstance(taken, LaneEnded):
        kept.set_exception(taken)
    else:
        kept.set_result(taken)
    return kept


class _Line:
    """What the workers of one stage share."""

    def __init__(
        self,
        take: Callable[[], Future[list[Any]]],
        results: Channel[Future[list[Any]]],
        work: Callable[[list[Any]], list[Any]],
    ) -> None:
        self._take = take
        self._results = results
        self._work = work
        self._turn = Lock()

    def run(self) -> None:
        try:
            while True:
                # Taking a batch and queueing the promise for its results are one step: that keeps the order.
                with self._turn:
                    given = self._take()
                    promise: Future[list[Any]] = Future()
                    self._results.put(promise)
                try:
                    promise.set_result(self._work(given.result()))
                except BaseException as error:
                    promise.set_exception(error)
        except Closed:
            self._results.end()
