"""From live sources through the parser to outputs, until somebody ends it: the work of `rtparse live`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

import click

from rtparse.cli.interrupt import stopping
from rtparse.cli.live_status import LiveStatus
from rtparse.cli.terminal import console
from rtparse.errors import RtparseError
from rtparse.parser import Parser
from rtparse.sinks import Fanout, Output, WindowClosed
from rtparse.sources.live import LiveSource

LOOK_SECONDS = 0.25
STOP_SECONDS = 10.0
"""How long the sources have to end after they were closed."""


def run(
    parser: Parser,
    sources: Sequence[LiveSource],
    outputs: Sequence[Output],
    *,
    seconds: float = math.inf,
    stats: Path | None = None,
    wait: bool = False,
) -> int:
    """Parse the newest frames of all sources into the outputs; the exit code. Closes the sources. Main thread only.

    Ends with SIGINT or SIGTERM, after `seconds`, when a window is closed, when no output is left and when all sources
    have ended: then the outputs are finished, so that files are whole. A second signal ends it at once.

    wait: recordings hold up the sources rather than lose a frame. Returns 1 when a source, an output or the engine
    failed, 2 when that was wrong use. Raises SinkError for an output that cannot be made, and what is a defect.
    """
    out = Fanout(outputs, wait=wait, written=lambda parsing: sources[parsing.frame.source].delivered(parsing.frame))
    work = _Work(parser, sources, out)
    try:
        with stopping() as stop, LiveStatus(sources, out, stats) as status:
            until = time.monotonic() + seconds
            work.start()
            while out.watched and not work.ended.is_set() and time.monotonic() < until and not stop.wait(LOOK_SECONDS):
                status.update()
            work.stop()
            out.finish()
            status.update(last=True)
    except BaseException:
        work.stop()
        out.abort()
        raise
    return work.report(status.error)


class _Work:
    """The thread that parses, so that the main one can look after everything else."""

    def __init__(self, parser: Parser, sources: Sequence[LiveSource], out: Fanout) -> None:
        self.ended = Event()
        self._parser = parser
        self._sources = sources
        self._out = out
        self._frames = [0] * len(sources)
        self._error: BaseException | None = None
        self._failed: dict[int, BaseException] = {}
        self._thread = Thread(target=self._run, name="rtparse-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the sources and wait for what is under way."""
        for source in self._sources:
            source.close()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def report(self, other: RtparseError | None) -> int:
        """Say what came of it, and what else failed; the exit code. Raises what is a defect."""
        if self._error is not None and not isinstance(self._error, RtparseError):
            raise self._error
        errors: list[tuple[str, BaseException]] = [("", self._error)] if self._error else []
        errors += [(f"{self._sources[number].info.name}: ", error) for number, error in self._failed.items()]
        errors += [(f"{state.name}: ", state.error) for state in self._out.states if state.error]
        errors += [("", other)] if other else []
        for source, frames in zip(self._sources, self._frames, strict=True):
            console.print(f"{source.info.name}: {frames} frame{'s' if frames != 1 else ''} parsed", soft_wrap=True)
        for name, error in errors:
            click.echo(f"error: {name}{error}", err=True)
        return max((error.exit_code if isinstance(error, RtparseError) else 1 for _, error in errors), default=0)

    def _run(self) -> None:
        try:
            with self._parser.stream(list(self._sources)) as stream:
                try:
                    for parsing in stream:
                        self._out.write(parsing)
                        self._frames[parsing.frame.source] += 1
                finally:
                    self._failed = {number: error for number, error in stream.ended.items() if error is not None}
        except WindowClosed:
            pass
        except BaseException as error:
            if not isinstance(error, RtparseError) or error not in self._failed.values():  # else of the last source
                self._error = error
        finally:
            self.ended.set()
