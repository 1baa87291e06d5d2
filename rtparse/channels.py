"""What items wait in between threads: bounded, and ended or closed from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - it ends a thread, it is no error
    """The channel was closed, or has ended: nobody will take or give any more."""


class LaneEnded(Exception):  # noqa: N818 - news for whoever takes
    """Lane `lane` has given its last item; `error` is what ended it, None for a good end."""

    def __init__(self, lane: int, error: BaseException | None) -> None:
        super().__init__(lane, error)
        self.lane = lane
        self.error = error


class Channel(Generic[T]):
    """A bounded queue that can be closed, which wakes everyone who waits. (queue.Queue can from Python 3.13 on.)"""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = False
        self._closed = False

    def put(self, item: T) -> None:
        """Waits for room. Raises Closed."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
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


class Lanes(Generic[T]):
    """Places side by side for one item each, from which batches are taken in turn; each lane has one giver.

    newest: of each lane, whether an item that waits is replaced by the next one instead of making its giver wait.
    batch: the most items of a batch. Whoever takes gets what is there and waits for no lane while another has an item.
    """

    def __init__(self, newest: Sequence[bool], batch: int) -> None:
        self.dropped = 0
        self._newest = newest
        self._batch = batch
        self._places: list[tuple[Hashable, T] | LaneEnded | None] = [None] * len(newest)
        self._open = len(newest)
        self._turn = 0
        self._changed = Condition()
        self._closed = False

    def put(self, lane: int, item: T, kind: Hashable) -> None:
        """Waits for room, but in a lane of the newest. Items of one kind may share a batch. Raises Closed."""
        with self._changed:
            while self._places[lane] is not None and not self._newest[lane] and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self.dropped += self._places[lane] is not None
            self._places[lane] = kind, item
            self._changed.notify_all()

    def end(self, lane: int, error: BaseException | None) -> None:
        """The lane gives no more. Waits until its last item was taken. Raises Closed."""
        with self._changed:
            while self._places[lane] is not None and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._places[lane] = LaneEnded(lane, error)
            self._changed.notify_all()

    def get(self) -> list[T] | LaneEnded:
        """Waits for an item; takes it and those of its kind that wait in other lanes, or the news of a lane's end.

        The first place goes around. Raises Closed, also when all lanes have ended.
        """
        with self._changed:
            while not (ready := self._ready()) and self._open and not self._closed:
                self._changed.wait()
            if self._closed or not ready:
                raise Closed
            first = self._places[ready[0]]
            self._turn = ready[0] + 1
            self._changed.notify_all()
            if isinstance(first, LaneEnded):
                self._places[ready[0]] = None
                self._open -= 1
                return first
            return self._take(ready)

    def close(self) -> None:
        """Wake everyone who waits; the items inside are let go."""
        with self._changed:
            self._closed = True
            self._places = [None] * len(self._places)
            self._changed.notify_all()

    def _ready(self) -> list[int]:
        """Lanes with something in them, from the one whose turn it is."""
        count = len(self._places)
        return [lane for i in range(count) if self._places[lane := (self._turn + i) % count] is not None]

    def _take(self, lanes: list[int]) -> list[T]:
        taken: list[T] = []
        wanted: Hashable = None
        for lane in lanes:
            place = self._places[lane]
            if isinstance(place, tuple) and len(taken) < self._batch and (not taken or place[0] == wanted):
                wanted = place[0]
                taken.append(place[1])
                self._places[lane] = None
        return taken
