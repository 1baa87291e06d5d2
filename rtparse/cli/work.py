"""From sources through the parser into sinks: what `rtparse video` and `rtparse image` both do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.progress import Progress

from rtparse.cli.interrupt import Interrupt
from rtparse.cli.terminal import console, frame_progress
from rtparse.errors import RtparseError, UsageError
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.profiling import nvtx_range
from rtparse.sinks import JsonlSink, MaskSink, Sink, WindowClosed
from rtparse.sinks.partial import PartialFile
from rtparse.sources import Source
from rtparse.stream import Stream

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


@dataclass(frozen=True)
class SideOutputs:
    """--masks, --jsonl and --rle, checked before any work."""

    masks: Path | None
    jsonl: Path | None
    rle: bool
    replace: bool

    def check(self) -> None:
        """Raise UsageError for an output that exists or an option without its partner."""
        if self.rle and not self.jsonl:
            raise UsageError("--rle was given without --jsonl", "add --jsonl FILE")
        if self.masks:
            keep_filled(self.masks, self.replace)
        if self.jsonl:
            keep_existing(self.jsonl, self.replace)

    def outputs(self) -> dict[Path, Callable[[], Sink]]:
        """What makes the sink of each path."""
        made: dict[Path, Callable[[], Sink]] = {}
        if self.masks:
            made[self.masks] = partial(MaskSink, self.masks)
        if self.jsonl:
            made[self.jsonl] = partial(JsonlSink, self.jsonl, rle=self.rle)
        return made


def keep_existing(path: Path, replace: bool) -> None:
    """Raise UsageError for a file that is there and may not be replaced."""
    if path.exists() and not replace:
        raise UsageError(f"{path} exists", "choose another name, or give -y to replace it")


def check_place(path: Path) -> None:
    """Raise UsageError for a file whose folder is not there, and SinkError where it cannot be written: before the work,
    not at its end."""
    if path.parent.exists() and not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder", f"choose another place for {path.name}")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent}", f"make it first: mkdir -p {path.parent}")
    PartialFile(path).discard()


def keep_filled(folder: Path, replace: bool) -> None:
    """Raise UsageError for a folder that holds something already and may not be written into."""
    if folder.is_dir() and any(folder.iterdir()) and not replace:
        raise UsageError(f"{folder} is not empty", "choose another folder, or -y to write into it")


@dataclass(frozen=True)
class Job:
    """One input, what makes the sink of each output by path, and what makes a window."""

    source: Source
    outputs: Mapping[Path, Callable[[], Sink]]
    window: Callable[[], Sink] | None = None


def run(parser: Parser, jobs: Sequence[Job]) -> int:
    """Parse all sources, whole and side by side, each into its sinks; the exit code.

    The sinks of a source are finished at its end, after Ctrl-C and for a damaged source, and aborted when the source or
    one of them fails; the other sources go on. Raises RtparseError when a sink cannot be made or the engine fails: all
    sinks that are not finished by then are aborted; and what a source raises that is the only one.
    """
    with Interrupt() as interrupt, frame_progress() as progress:
        work = [_Work(job, progress, "parsing" if len(jobs) == 1 else job.source.info.name) for job in jobs]
        interrupted = False
        try:
            for each in work:
                each.start()
            with parser.stream([job.source for job in jobs]) as stream:
                try:
                    _write(stream, work, interrupt)
                except KeyboardInterrupt:
                    interrupted = True
                except WindowClosed:
                    pass
            with interrupt.shielded():
                for number, error in stream.ended.items():
                    work[number].end(error)
                for each in work:
                    each.finish(interrupted)
        finally:
            for each in work:
                each.abort()
    if len(work) == 1 and work[0].error:
        raise work[0].error
    codes = [each.report(interrupted) for each in work]
    return INTERRUPTED if interrupted else max(codes)


def _write(stream: Stream, work: Sequence[_Work], interrupt: Interrupt) -> None:
    """Write what comes; finish what has ended while others go on. What a source raised is left in `stream.ended`."""
    try:
        for parsing in stream:
            with interrupt.shielded():
                work[parsing.frame.source].write(parsing)
                for number, error in stream.ended.items():
                    work[number].end(error)
    except RtparseError as error:
        if error not in stream.ended.values():
            raise


class _Work:
    """A job under way: its sinks, how many frames they have, and the error that ended it early."""

    def __init__(self, job: Job, progress: Progress, description: str) -> None:
        self.error: RtparseError | None = None
        self._job = job
        self._progress = progress
        self._task = progress.add_task(description, total=job.source.info.frame_count)
        self._sinks: list[Sink] = []
        self._frames = 0
        self._whole = False

    def start(self) -> None:
        """Make the sinks. Raises SinkError and UsageError."""
        for make in [*self._job.outputs.values(), *([self._job.window] if self._job.window else [])]:
            self._sinks.append(make())

    def write(self, parsing: Parsing) -> None:
        if not self._sinks:
            return  # of frames that were under way when a sink failed
        try:
            with nvtx_range("write"):
                for sink in self._sinks:
                    sink.write(parsing)
        except RtparseError as error:
            self._fail(error)
        else:
            self._frames += 1
            self._progress.advance(self._task)

    def end(self, error: BaseException | None) -> None:
        """The source has ended."""
        if isinstance(error, RtparseError):
            self._fail(error)
        elif error is not None:
            raise error
        else:
            self._whole = True
            self.finish(interrupted=False)

    def finish(self, interrupted: bool) -> None:
        """Give the outputs their final names; none are made of no frames after Ctrl-C."""
        try:
            while self._sinks and (self._frames or not interrupted):
                self._sinks.pop(0).finish()
        except RtparseError as error:
            self._fail(error)

    def abort(self) -> None:
        while self._sinks:
            self._sinks.pop().abort()

    def report(self, interrupted: bool) -> int:
        """Say what came of it; the exit code."""
        names = ", ".join(map(str, self._job.outputs))
        info, damage = self._job.source.info, self._job.source.damage
        if self.error:
            click.echo(f"error: {self.error}", err=True)
            return 1
        if interrupted and not self._whole:
            done = f"{self._frames} frames are in {names}" if self._frames else f"nothing was written to {names}"
            click.echo(f"interrupted: {done}", err=True)
            return INTERRUPTED
        console.print(f"{self._frames} frame{'s' if self._frames != 1 else ''} parsed: {names}", soft_wrap=True)
        for line in damage:
            click.echo(f"damaged input: {info.name}: {line}", err=True)
        return 1 if damage else 0

    def _fail(self, error: RtparseError) -> None:
        """Leave nothing behind, and read no more of the source."""
        self.error = self.error or error
        self.abort()
        self._job.source.close()
