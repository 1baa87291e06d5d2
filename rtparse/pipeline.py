"""Stages in threads: reading, computing and consuming overlap, in order, through bounded queues.

    with Pipeline(source, [Stage(compute, workers=2), Stage(finish)], stop=source.close) as results:
        for result in results: ...

Every stage hands on its results in the order of the input, however many workers it has: a worker that takes an item
puts a promise for its result (a Future) into the next queue at once, and keeps it later. An exception travels in the
place of the result, so the consumer meets it after all the results before it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from typing import Any, Generic, TypeVar

from rtparse.closing import Closing

T = TypeVar("T")
Item = TypeVar("Item")

STOP_SECONDS = 5.0
"""How long closing waits for an iterable that does not end when it is told to, such as a user's own generator."""

_log = logging.getLogger("rtparse")


class Closed(Exception):  # noqa: N818 - it ends a thread, it is no error
    """The channel was closed: nobody will take or give any more."""


class Channel(Generic[T]):
    """A bounded queue that can be closed, which wakes everyone who waits. (queue.Queue can from Python 3.13 on.)

    newest: a full channel drops its oldest item instead of making the giver wait.
    """

    def __init__(self, capacity: int, *, newest: bool = False) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._newest = newest
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = False
        self._closed = False

    def put(self, item: T) -> None:
        """Raises Closed."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                if self._newest:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Waits for an item. Raises Closed, also at the end."""
        with self._changed:
            while not self._items and not self._ended and not self._closed:
                self._changed.wait()
            if self._closed or not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """No more items come; those inside can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Wake everyone who waits; the items inside are let go."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


@dataclass(frozen=True)
class Stage:
    """work: from one item to its result. With more than one worker it must be thread-safe."""

    work: Callable[[Any], Any]
    workers: int = 1


class Pipeline(Closing, Generic[Item]):
    """An iterator over the results of the last stage, to be used from one thread.

    Threads start with the first result asked for. They have ended when `close` returns: at the end of the input, after
    an exception, on leaving the `with` block, when the pipeline is dropped. No more items wait before a stage than the
    stage before it has workers, so memory is bounded and what a slow consumer sees is fresh.
    """

    def __init__(
        self,
        items: Iterable[Any],
        stages: Sequence[Stage],
        *,
        stop: Callable[[], None] = lambda: None,
        live: bool = False,
    ) -> None:
        """items: read in a thread of their own.

        stop: makes a blocked iteration over `items` end; called once, from another thread.
        live: drop the oldest item that waits before the first stage rather than keep `items` waiting.
        """
        self._items = items
        self._stages = stages
        self._stop = stop
        self._reader: Thread | None = None
        self._workers: list[Thread] = []
        self._channels: list[Channel[Future[Any]]] = [
            Channel(1, newest=live),
            *(Channel(stage.workers) for stage in stages),
        ]
        self._started = False
        self._closed = False

    @property
    def dropped(self) -> int:
        """How many items a live pipeline has dropped so far."""
        return self._channels[0].dropped

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        try:
            if not self._started:
                self._start()
            result: Item = self._channels[-1].get().result()
        except Closed:
            self.close()
            raise StopIteration from None
        except BaseException:
            self.close()
            raise
        return result

    def close(self) -> None:
        """Stop all stages and wait until their threads have ended. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        for channel in self._channels:
            channel.close()
        try:
            self._stop()
        finally:
            for thread in self._workers:
                thread.join()
            if self._reader is not None:
                self._reader.join(STOP_SECONDS)
                if self._reader.is_alive():
                    _log.warning("the source still blocks %g s after it was closed; its thread is left", STOP_SECONDS)

    def __del__(self) -> None:
        # A `for` loop that was left with `break` drops its iterator: the threads end there.
        self.close()

    def _start(self) -> None:
        self._started = True
        self._reader = Thread(target=_read, args=(self._items, self._channels[0]), name="rtparse-read", daemon=True)
        for i, stage in enumerate(self._stages):
            line = _Line(self._channels[i], self._channels[i + 1], stage.work)
            self._workers += [Thread(target=line.run, name=f"rtparse-{i}", daemon=True) for _ in range(stage.workers)]
        for thread in (self._reader, *self._workers):
            thread.start()


# The threads hold channels, never the pipeline, so that it can be dropped while they run.


def _read(items: Iterable[Any], into: Channel[Future[Any]]) -> None:
    try:
        try:
            for item in items:
                kept: Future[Any] = Future()
                kept.set_result(item)
                into.put(kept)
        except Closed:
            raise
        except BaseException as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            into.put(failed)
        into.end()
    except Closed:
        pass


class _Line:
    """What the workers of one stage share."""

    def __init__(self, given: Channel[Future[Any]], results: Channel[Future[Any]], work: Callable[[Any], Any]) -> None:
        self._given = given
        self._results = results
        self._work = work
        self._turn = Lock()

    def run(self) -> None:
        try:
            while True:
                # Taking an item and queueing the promise for it are one step: that keeps the order.
                with self._turn:
                    given = self._given.get()
                    promise: Future[Any] = Future()
                    self._results.put(promise)
                try:
                    promise.set_result(self._work(given.result()))
                except BaseException as error:
                    promise.set_exception(error)
        except Closed:
            self._results.end()
