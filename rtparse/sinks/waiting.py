"""Parsings that wait for a sink: bounded, and never in the way of whoever brings them unless that is asked for."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition

from rtparse.parsing import Parsing

HELD_BYTES = 256 * 2**20
"""Of frames and labels that wait for a sink that keeps all."""


class Waiting:
    """A queue from one thread to another.

    keep: hold all parsings that come, HELD_BYTES of them, and then let the oldest go; otherwise hold the newest one of
    each source. `lost` counts those that were let go.
    """

    def __init__(self, keep: bool) -> None:
        self.lost = 0
        self._keep = keep
        self._items: deque[Parsing] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = Condition()

    def put(self, parsing: Parsing, room_until: float | None = None) -> bool:
        """room_until: of time.monotonic(), wait that long for room rather than let anything go; whether there was."""
        with self._changed:
            if not self._keep:
                for older in [each for each in self._items if each.frame.source == parsing.frame.source]:
                    self._items.remove(older)
                    self.lost += 1
            elif room_until is not None:
                while self._full(parsing) and not self._ended:
                    if not self._changed.wait(room_until - time.monotonic()):
                        return False
            while self._keep and self._full(parsing):
                self._bytes -= _size(self._items.popleft())
                self.lost += 1
            if not self._ended:
                self._items.append(parsing)
                self._bytes += _size(parsing)
                self._changed.notify_all()
        return True

    def get(self, seconds: float | None = None) -> Parsing | None:
        """Waits for the next parsing; None at the end. Raises TimeoutError."""
        with self._changed:
            while not self._items and not self._ended:
                if not self._changed.wait(seconds):
                    raise TimeoutError
            if not self._items:
                return None
            parsing = self._items.popleft()
            self._bytes -= _size(parsing)
            self._changed.notify_all()
            return parsing

    def end(self) -> None:
        """No more come; those that wait can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def clear(self) -> None:
        """As `end`, and those that wait are lost."""
        with self._changed:
            self.lost += len(self._items)
            self._items.clear()
            self._bytes = 0
            self._ended = True
            self._changed.notify_all()

    def _full(self, parsing: Parsing) -> bool:
        return bool(self._items) and self._bytes + _size(parsing) > HELD_BYTES


def _size(parsing: Parsing) -> int:
    return parsing.frame.image.nbytes + parsing.labels.nbytes
