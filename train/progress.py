"""What a person sees of a run: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from rtparse.train.loop import StepReport

RECENT = 50
"""Steps that the shown loss and speed are means of, and between two lines where there is no terminal."""


MUCH_WAITED = 0.2
"""Share of the time from which on waiting for pictures is shown: more processes that make them would help a GPU."""


class TrainProgress:
    """Shows steps, loss, images a second and the time left on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),  # where it is narrow the bar gives way
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("checking", total=None, figures="")
        self._recent: deque[StepReport] = deque(maxlen=RECENT)
        self._steps = 0
        self._begun = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def pair_checked(self, total: int) -> None:
        """One more of `total` pairs was read by the check."""
        self._bar.update(self._task, total=total, advance=1)

    def start(self, step: int, steps: int) -> None:
        """Training begins after `step` of `steps`."""
        self._steps = steps
        self._bar.reset(self._task, total=steps, completed=step, description="training", figures="")
        going_on = f"continuing after step {step} of {steps}" if step < steps else f"the run has its {step} steps"
        self._console.print(going_on if step else f"{steps} steps")

    def step(self, report: StepReport) -> None:
        """A step is done."""
        if not self._begun:  # its wait is the start of the processes that make batches
            report = replace(report, seconds=report.seconds - report.waited, waited=0.0)
        self._begun = True
        self._recent.append(report)
        loss = sum(each.loss for each in self._recent) / len(self._recent)
        seconds = sum(each.seconds for each in self._recent)
        figures = f"loss {loss:.4f}  {sum(each.pictures for each in self._recent) / seconds:.1f} images/s"
        waited = sum(each.waited for each in self._recent) / seconds
        figures += f"  {waited:.0%} waiting" if waited > MUCH_WAITED else ""
        self._bar.update(self._task, completed=report.step, figures=figures)
        if not self._console.is_terminal and (report.step % RECENT == 0 or report.step == self._steps):
            left = (self._steps - report.step) * seconds / len(self._recent) / 60
            self._console.print(f"step {report.step} of {self._steps}  {figures}  {left:.0f} min left")
