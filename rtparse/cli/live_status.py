"""How a live run does: a table on a terminal, lines elsewhere, and a file of statistics."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.live import Live
from rich.table import Table

from rtparse.cli.terminal import console
from rtparse.errors import SinkError
from rtparse.sinks import Fanout
from rtparse.sinks.partial import write_errors
from rtparse.sources.live import LiveSource, LiveStatistics

LINE_SECONDS = 5.0
"""Between two lines of --stats, and of the terminal's substitute."""

_log = logging.getLogger("rtparse")


class LiveStatus:
    """Tells about sources and their outputs while it is open. `update` is to be called a few times a second.

    stats: a file that gets a line of JSON every LINE_SECONDS and one at the end, or None. Raises SinkError when it
        cannot be made; when it cannot be written later it is dropped, with a warning, and `error` says why.
    """

    def __init__(self, sources: Sequence[LiveSource], out: Fanout, stats: Path | None) -> None:
        self._sources = sources
        self._out = out
        self._stats = stats
        self._file: TextIO | None = None
        self.error: SinkError | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._next = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> Self:
        if self._stats:
            with write_errors(self._stats):
                self._file = self._stats.open("w", buffering=1, encoding="utf-8", newline="\n")
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        self._close()

    def update(self, *, last: bool = False) -> None:
        """last: the run has ended, so a line is due."""
        statistics = [source.statistics() for source in self._sources]
        if self._live and not last:
            self._live.update(self._table(statistics), refresh=True)
        if time.monotonic() < self._next and not last:
            return
        self._next = time.monotonic() + LINE_SECONDS
        if not self._live or last:
            for source, each in zip(self._sources, statistics, strict=True):
                console.print(_line(source, each), soft_wrap=True)
        self._write(statistics)

    def _write(self, statistics: Sequence[LiveStatistics]) -> None:
        if self._file and self._stats:
            outputs = [asdict(each) | {"error": str(each.error or "")} for each in self._out.states]
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "sources": [asdict(each) for each in statistics],
                "outputs": outputs,
            }
            try:
                with write_errors(self._stats):
                    self._file.write(json.dumps(line) + "\n")
            except SinkError as error:
                self.error = error
                self._close()
                _log.warning("%s was dropped, the run goes on: %s", self._stats, error)

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):  # closing writes what is buffered, and fails again on a full disk
                self._file.close()
            self._file = None

    def _table(self, statistics: Sequence[LiveStatistics]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("source", overflow="fold")
        table.add_column("")
        for name in ("FPS in", "FPS out", "dropped", "reconnects", "latency p50", "p95", "p99 ms"):
            table.add_column(name, justify="right")
        for source, each in zip(self._sources, statistics, strict=True):
            state = each.state if each.state == "live" or not each.error else f"{each.state}: {each.error}"
            table.add_row(
                each.name,
                f"{state} {_size(source)}".strip(),
                f"{each.fps_in:.1f}",
                f"{each.fps_out:.1f}",
                str(each.dropped),
                str(each.reconnects),
                *(_milliseconds(value) for value in _latencies(each)),
            )
        for output in self._out.states:
            lost = f", {output.lost} left out" if output.lost else ""
            table.add_row(f"to {output.name}", str(output.error or f"{output.written} frames{lost}"))
        return table


def _line(source: LiveSource, each: LiveStatistics) -> str:
    what = [
        f"{each.name}: {each.state}",
        _size(source),
        f"{each.fps_in:.1f} FPS in",
        f"{each.fps_out:.1f} out",
        f"{each.dropped} dropped",
        f"{each.reconnects} reconnects",
    ]
    if each.latency_p50 is not None:
        what.append(f"latency {'/'.join(_milliseconds(value) for value in _latencies(each))} ms")
    if each.error and each.state != "live":
        what.append(each.error)
    return ", ".join(filter(None, what))


def _latencies(each: LiveStatistics) -> tuple[float | None, float | None, float | None]:
    return each.latency_p50, each.latency_p95, each.latency_p99


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f}"


def _size(source: LiveSource) -> str:
    info = source.info
    return f"{info.width}x{info.height}" if info.width and info.height else ""
