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
        for step in range(1, RECENT + 1):
            progress.step(StepReport(step, 1.5, 1.0, 0.5, 1e-3, pictures=8, seconds=0.5, waited=waited * 0.5))
    (line,) = [line for line in written.getvalue().splitlines() if line.startswith(f"step {RECENT} of")]
    assert "loss 1.5000  16.0 images/s" in line
    assert ("30% waiting for pictures" in line) == said
