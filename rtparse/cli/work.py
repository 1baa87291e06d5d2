"""From a source through the parser into sinks: what `rtparse video` and `rtparse image` both do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from rtparse.cli.interrupt import Interrupt
from rtparse.cli.terminal import console, frame_progress
from rtparse.errors import UsageError
from rtparse.parser import Parser
from rtparse.sinks import JsonlSink, MaskSink, Sink, WindowClosed
from rtparse.sources import Source


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
        if self.masks and self.masks.is_dir() and any(self.masks.iterdir()) and not self.replace:
            raise UsageError(f"{self.masks} is not empty", "choose another folder, or -y to write into it")
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
        raise UsageError(f"{path} exists", "choose another name with -o, or -y to replace it")


def run(
    parser: Parser,
    source: Source,
    outputs: Mapping[Path, Callable[[], Sink]],
    window: Callable[[], Sink] | None = None,
) -> int:
    """Parse a whole source into the sinks that `outputs` make, by path, and into a window; the exit code.

    All sinks are finished at the end, after Ctrl-C and for a damaged source, and all are aborted when the work fails.
    """
    frames, interrupted = 0, False
    sinks: list[Sink] = []
    with Interrupt() as interrupt, frame_progress() as progress:
        task = progress.add_task("parsing", total=source.info.frame_count)
        try:
            for make in [*outputs.values(), *([window] if window else [])]:
                sinks.append(make())
            try:
                for parsing in parser.stream(source):
                    with interrupt.shielded():
                        for sink in sinks:
                            sink.write(parsing)
                        frames += 1
                        progress.advance(task)
            except KeyboardInterrupt:
                interrupted = True
            except WindowClosed:
                pass
            with interrupt.shielded():
                while sinks and (frames or not interrupted):
                    sinks.pop(0).finish()
        finally:
            for sink in sinks:
                sink.abort()
    return _report(source, frames, interrupted, ", ".join(map(str, outputs)))


def _report(source: Source, frames: int, interrupted: bool, names: str) -> int:
    if interrupted:
        done = f"{frames} frames are in {names}" if frames else "nothing was written"
        click.echo(f"interrupted: {done}", err=True)
        return 130
    console.print(f"{frames} frame{'s' if frames != 1 else ''} parsed: {names}", soft_wrap=True)
    for line in source.damage:
        click.echo(f"damaged input: {source.info.name}: {line}", err=True)
    return 1 if source.damage else 0
