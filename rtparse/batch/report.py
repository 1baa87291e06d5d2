"""What a run did: counted as it goes, told at its end."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field

from rtparse.batch.job import DAMAGED, DONE, FAILED, Record

REPORT = "report.json"


@dataclass(frozen=True)
class WorkerTotal:
    """What one worker did in this run. seconds: it was at work."""

    name: str
    device: str
    frames: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """videos: asked for. skipped: done by earlier runs. done, damaged, failed: in this run.

    frames, cpu_seconds: of this run's work; a video that an earlier run had begun counts with what was left. seconds:
    from its start to its end. problems: (video, error) of damaged and failed videos, those of earlier runs too.
    """

    videos: int
    skipped: int
    done: int
    damaged: int
    failed: int
    interrupted: bool
    frames: int
    seconds: float
    cpu_seconds: float
    workers: tuple[WorkerTotal, ...]
    problems: tuple[tuple[str, str], ...]

    @property
    def exit_code(self) -> int:
        """0: every video is done. 1: some are damaged or failed. 130: interrupted."""
        return 130 if self.interrupted else 1 if self.problems else 0

    def to_json(self) -> bytes:
        return (json.dumps(dataclasses.asdict(self) | {"exit_code": self.exit_code}, indent=1) + "\n").encode()


@dataclass
class Tally:
    """Counts records."""

    frames: int = 0
    skipped: int = 0
    _counts: dict[str, int] = field(default_factory=lambda: {DONE: 0, DAMAGED: 0, FAILED: 0})
    _workers: dict[str, WorkerTotal] = field(default_factory=dict)
    _problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    _cpu_seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    @property
    def videos(self) -> int:
        """Those that need no more work."""
        return self.skipped + sum(self._counts.values())

    def skip(self, record: Record) -> None:
        """A video that an earlier run did."""
        self.skipped += 1
        self._problem(record)

    def part(self, record: Record) -> None:
        """A part of a video was parsed."""
        self.frames += record.frames
        self._cpu_seconds += record.cpu_seconds
        before = self._workers.get(record.worker, WorkerTotal(record.worker, record.device, 0, 0.0))
        self._workers[record.worker] = dataclasses.replace(
            before, frames=before.frames + record.frames, seconds=before.seconds + record.seconds
        )

    def add(self, record: Record, *, kept: bool) -> None:
        """A video has ended. kept: it had been done by a run that could not write it into the manifest any more."""
        if kept:
            self.skip(record)
            return
        self._counts[record.status] += 1
        self._problem(record)
        if record.whole and record.parts == 1:
            self.part(record)

    def report(self, videos: int) -> Report:
        """videos: how many were asked for; that fewer have ended means that the run was interrupted."""
        return Report(
            videos=videos,
            skipped=self.skipped,
            done=self._counts[DONE],
            damaged=self._counts[DAMAGED],
            failed=self._counts[FAILED],
            interrupted=self.videos < videos,
            frames=self.frames,
            seconds=time.monotonic() - self._started,
            cpu_seconds=self._cpu_seconds,
            workers=tuple(self._workers.values()),
            problems=tuple(self._problems.values()),
        )

    def _problem(self, record: Record) -> None:
        if record.status != DONE:
            self._problems[record.name] = (record.video, record.error)
