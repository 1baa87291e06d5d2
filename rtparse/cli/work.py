"""From a source through the parser into sinks: what `rtparse video` and `rtparse image` both do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

    def sinks(self) -> list[Sink]:
        """The sinks asked for. Raises UsageError for an output that exists."""
        if self.rle and not self.jsonl:
            raise UsageError("--rle was given without --jsonl", "add --jsonl FILE")
        found: list[Sink] = []
        if self.masks:
            if self.masks.is_dir() and any(self.masks.iterdir()) and not self.replace:
                raise UsageError(f"{self.masks} is not empty", "choose another folder, or -y to write into it")
            found.append(MaskSink(self.masks))
        if self.jsonl:
            keep_existing(self.jsonl, self.replace)
            found.append(JsonlSink(self.jsonl, rle=self.rle))
        return found

    def paths(self) -> list[Path]:
        return [path for path in (self.masks, self.jsonl) if path]


def keep_existing(path: Path, replace: bool) -> None:
    """Raise UsageError for a file that is there and may not be replaced."""
    if path.exists() and not replace:
        raise UsageError(f"{path} exists", "choose another name with -o, or -y to replace it")


def run(parser: Parser, source: Source, sinks: Sequence[Sink], written: Sequence[Path]) -> int:
    """Parse a whole source into sinks with progress; the exit code.

    All sinks are finished at the end, after Ctrl-C and for a damaged source, and all are aborted when the work fails.
    """
    frames, interrupted = 0, False
    with Interrupt() as interrupt, frame_progress() as progress:
        task = progress.add_task("parsing", total=source.info.frame_count)
        try:
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
                if frames or not interrupted:
                    for sink in sinks:
                        sink.finish()
                    sinks = ()
        finally:
            for sink in sinks:
                sink.abort()
    return _report(source, frames, interrupted, written)


def _report(source: Source, frames: int, interrupted: bool, written: Sequence[Path]) -> int:
    names = ", ".join(str(path) for path in written)
    if interrupted:
        done = f"{frames} frames are in {names}" if frames and names else "nothing was written"
        click.echo(f"interrupted: {done}", err=True)
        return 130
    if names:
        console.print(f"{frames} frame{'s' if frames != 1 else ''} parsed: {names}", soft_wrap=True)
    for line in source.damage:
        click.echo(f"damaged input: {source.info.name}: {line}", err=True)
    return 1 if source.damage else 0
