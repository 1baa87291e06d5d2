"""A cache of pictures that is bounded in bytes."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.uint8], ...]


class ByteCache:
    """Keeps what was used last, up to a number of bytes. Thread-safe; a pickled or forked copy starts empty.

    What it returns is read-only, since others hold it too.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start()

    def get(self, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a key, made where they are not there. What fits nowhere is made every time."""
        if self._process != os.getpid():
            self._start()  # forked: the parent's lock may be held by a thread that is not here
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
        made = make()  # outside the lock: two threads may make the same, which costs time and no more
        for array in made:
            array.flags.writeable = False
        size = _size(made)
        with self._lock:
            if key not in self._kept and size <= self._limit:
                self._kept[key] = made
                self.bytes += size
            while self.bytes > self._limit:
                self.bytes -= _size(self._kept.popitem(last=False)[1])
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self._limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._limit = state["limit"]
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self.bytes = 0


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)
