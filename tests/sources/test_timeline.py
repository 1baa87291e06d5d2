from __future__ import annotations

import pytest

from rtparse.sources.timeline import Timeline


@pytest.mark.parametrize(
    ("origin", "stamps", "placed", "repaired"),
    [
        # as they are, from the stream's start
        (100, [100, 140, 141, 500], [0, 40, 41, 400], 0),
        # the first pictures are missing: the rest keep their times
        (100, [300, 340], [200, 240], 0),
        # no start known: the first picture's
        (None, [7, 9], [0, 2], 0),
        # pictures before the stated start
        (100, [60, 100, 140], [0, 40, 80], 0),
        # none at all
        (None, [None, None, None], [0, 40, 80], 0),
        # a gap in them
        (0, [0, None, 80], [0, 40, 80], 0),
        # the same twice: the second one moves, the third stays
        (0, [0, 40, 40, 80], [0, 40, 41, 80], 1),
        # a jump back
        (0, [0, 40, 10, 20, 80], [0, 40, 41, 42, 80], 2),
        # a leap of 50 days, as of a flipped bit
        (0, [0, 40, 2**32 - 99, 120], [0, 40, 80, 120], 1),
        # the same in the stated start
        (-(2**32), [0, 40], [0, 40], 0),
    ],
)
def test_times_run_forward(origin: int | None, stamps: list[int | None], placed: list[int], repaired: int) -> None:
    timeline = Timeline(origin, 40)
    assert [timeline.place(stamp) for stamp in stamps] == placed
    assert timeline.repaired == repaired
