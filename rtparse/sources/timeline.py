"""The times of a stream's pictures, kept exactly where they make sense and repaired where they do not."""

from __future__ import annotations

LONGEST_GAP = 2**31 - 1
"""Ticks that a picture can show in an MP4, 24 days in milliseconds. A leap farther forward is damage."""


class Timeline:
    """Places pictures, in ticks from the start of the stream.

    origin: the timestamp that is time 0; None takes that of the first picture.
    frame_ticks: the usual distance of two pictures.
    repaired: how many timestamps did not come after the one before, or far too long after it, and were moved.
    """

    def __init__(self, origin: int | None, frame_ticks: int) -> None:
        self._origin = origin
        self._frame_ticks = max(1, frame_ticks)
        self._last: int | None = None
        self.repaired = 0

    def place(self, pts: int | None) -> int:
        """Ticks of the next picture, always more than of the one before.

        A picture without a timestamp comes one frame after the picture before (raw streams carry none, so that is no
        damage). One that is not after the picture before is moved one tick behind it: the least change, so that the
        pictures that follow keep their times. One that leaps too far comes one frame after the picture before.
        """
        if pts is None:
            ticks = 0 if self._last is None else self._last + self._frame_ticks
        else:
            if self._origin is None:
                self._origin = pts
            ticks = pts - self._origin
            # Pictures before the stream's start are decoder run-in of an edited file: the first one starts the clock.
            if self._last is None:
                if not 0 <= ticks <= LONGEST_GAP:
                    self._origin, ticks = pts, 0
            elif ticks <= self._last:
                self.repaired += 1
                ticks = self._last + 1
            elif ticks > self._last + LONGEST_GAP:
                self.repaired += 1
                ticks = self._last + self._frame_ticks
        self._last = ticks
        return ticks
