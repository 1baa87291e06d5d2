"""What every source offers, whatever it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from rtparse.closing import Closing
from rtparse.frame import Frame


@dataclass(frozen=True)
class SourceInfo:
    """What is known before the first frame. Sizes are those of the upright picture; unknown values are None.

    time_base: the tick of the stream's timestamps in seconds; Frame.pts is a multiple of it.
    audio: whether the file carries sound that a sink may copy.
    live: frames come when they happen. The newest one is parsed, those that came too early are dropped.
    keep_all: of a live source nothing is dropped; it waits.
    """

    name: str
    width: int | None = None
    height: int | None = None
    fps: Fraction | None = None
    time_base: Fraction | None = None
    frame_count: int | None = None
    duration: float | None = None
    live: bool = False
    audio: bool = False
    keep_all: bool = False


@runtime_checkable
class Source(Closing, Protocol):
    """Frames in order. Iterate once, from one thread; a context manager.

    damage: what was wrong with the input so far, one line each ("3 corrupt packets skipped"); read after iterating.
    """

    info: SourceInfo

    @property
    def damage(self) -> tuple[str, ...]: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Free the source. Safe from another thread; a blocked iteration then ends. Calling it twice does nothing."""
        ...
