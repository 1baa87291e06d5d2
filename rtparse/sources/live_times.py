"""Which frames of a live source are new, and when they happened, whatever the source says."""

from __future__ import annotations

import math
import zlib
from collections import deque
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

TICK = Fraction(1, 90_000)
"""Of the times that a live source gives its frames, in seconds."""

SLACK = 1.0
"""Seconds that a timestamp may step further than the clock did: networks give frames in bursts."""

DRIFT = 30.0
"""Seconds that timestamps and clock may part over time; a playlist hands out up to that much in advance."""

REMEMBERED_SECONDS = 20.0
REMEMBERED = 2048
"""For how long a frame is recognized when it comes again, and how many frames are at most."""


class LiveClock:
    """Times of frames, from 0 at the first, that only grow: the timestamps' distances where these make sense.

    A timestamp that stands still, steps back, steps further than the clock did, or has parted from it, is repaired: the
    times go on from the moment of arrival, and the distances after it count again. So they do after a reconnect.
    """

    def __init__(self, *, waits: bool) -> None:
        """waits: the source is made to wait, so its frames may arrive ever later than they happened."""
        self._waits = waits
        self._start: float | None = None
        self._offset: float | None = None
        self._pts = 0.0
        self._arrived = 0.0
        self._ticks = -1
        self.repaired = 0

    def restart(self) -> None:
        """A new connection: its timestamps have nothing to do with those before."""
        self._offset = None

    def place(self, pts: float, arrived: float) -> float:
        """pts: seconds, by the source's own clock; NaN for none, which is no damage. arrived: by `time.monotonic()`.

        Returns seconds, a whole number of ticks.
        """
        if self._start is None:
            self._start = arrived
        now = arrived - self._start
        time = max(now, float((self._ticks + 1) * TICK))
        if math.isnan(pts):
            self._offset = None
        else:
            if self._offset is None or not self._plausible(pts, arrived, now):
                self.repaired += self._offset is not None
                self._offset = time - pts
            time = pts + self._offset
        self._pts, self._arrived = pts, arrived
        self._ticks = max(self._ticks + 1, round(time / TICK))
        return float(self._ticks * TICK)

    def _plausible(self, pts: float, arrived: float, now: float) -> bool:
        assert self._offset is not None
        ahead = pts + self._offset - now
        behind = -DRIFT if not self._waits else -float("inf")
        return 0 < pts - self._pts <= arrived - self._arrived + SLACK and behind < ahead < DRIFT


class Seen:
    """Recognizes a frame that was there before: one with the same timestamp and the same pixels.

    Servers repeat what they hold back, the last group of pictures or the last pieces of a playlist, to whoever
    connects again. The timestamp alone would not do: many count anew from 0 for every connection. Nor would all of the
    past: a server that plays a file from its start again shows what was shown, and is meant to.
    """

    def __init__(self) -> None:
        self._order: deque[tuple[float, tuple[float, int]]] = deque()  # when it arrived, and the frame
        self._known: set[tuple[float, int]] = set()

    def again(self, pts: float, image: NDArray[np.uint8], arrived: float) -> bool:
        """Remembers the frame, and tells whether it was known."""
        if math.isnan(pts):
            return False
        identity = pts, zlib.crc32(np.ascontiguousarray(image[::8]).data)
        while self._order and (len(self._order) >= REMEMBERED or self._order[0][0] < arrived - REMEMBERED_SECONDS):
            self._known.remove(self._order.popleft()[1])
        if identity in self._known:
            return True
        self._known.add(identity)
        self._order.append((arrived, identity))
        return False
