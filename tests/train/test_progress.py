"""What a run says of itself where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rtparse.train.loop import StepReport
from rtparse.train.progress import RECENT, TrainProgress


@pytest.mark.parametrize(("waited", "said"), [(0.05, False), (0.3, True)])
def test_long_waits_for_pictures_are_said(waited: float, said: bool) -> None:
    written = io.StringIO()
    with TrainProgress(Console(file=written)) as progress:
        progress.start(0, 3 * RECENT)
        progress.step(StepReport(1, 1.5, 1.0, 0.5, 1e-3, pictures=8, seconds=9.5, waited=9.0))  # processes start
        for step in range(2, RECENT + 1):
            progress.step(StepReport(step, 1.5, 1.0, 0.5, 1e-3, pictures=8, seconds=0.5, waited=waited * 0.5))
    (line,) = [line for line in written.getvalue().splitlines() if line.startswith(f"step {RECENT} of")]
    assert "loss 1.5000  16.0 images/s" in line
    assert ("29% waiting" in line) == said


def test_the_bar_is_whole_on_a_terminal_of_80_columns() -> None:
    written = io.StringIO()
    with TrainProgress(Console(file=written, force_terminal=True, width=80, color_system=None)) as progress:
        progress.start(1000, 4000)
        for step in range(1001, 1011):
            progress.step(StepReport(step, 9.3, 9.0, 0.3, 1e-3, pictures=16, seconds=2.0, waited=1.4))
    shown = [line for line in written.getvalue().splitlines() if "1010/4000" in line][-1]
    assert "1010/4000 loss 9.3000  8.6 images/s  68% waiting 0:00:0" in shown
    assert "…" not in shown
