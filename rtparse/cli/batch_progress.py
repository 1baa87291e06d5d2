"""The progress of `rtparse batch`: all videos, and what each worker is at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from rtparse.batch import worker
from rtparse.batch.run import View
from rtparse.cli.terminal import console

SHOWN = 16
"""Workers that have a line."""


@contextmanager
def batch_progress() -> Iterator[View]:
    """Bars on standard error while the block lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    lines: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:
        videos = progress.add_task("starting", total=None)
        started = progress.get_time()

        def shown(done: int, total: int, frames: int, at: list[tuple[str, worker.Progress]]) -> None:
            speed = frames / max(progress.get_time() - started, 1e-3)
            progress.update(videos, description=f"videos, {speed:.1f} FPS", completed=done, total=total)
            busy = dict(at[:SHOWN])
            for gone in lines.keys() - busy.keys():
                progress.remove_task(lines.pop(gone))
            for name, each in busy.items():
                if name not in lines:
                    lines[name] = progress.add_task("")
                described = f"  {name} {each.name}"
                progress.update(lines[name], description=described, completed=each.frames, total=each.total)

        try:
            yield View(shown=shown)
        finally:
            for line in lines.values():
                progress.remove_task(line)
