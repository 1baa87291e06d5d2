"""Ctrl-C that never lands in the middle of a write."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """Takes SIGINT over while it is open: KeyboardInterrupt comes at once, or at the end of a `shielded` block.

    Without it, Ctrl-C may strike inside an encoder and leave a file that nobody can finish. Main thread only.
    """

    def __init__(self) -> None:
        self._shields = 0
        self._pending = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._shields:
            self._pending = True
        else:
            raise KeyboardInterrupt

    @property
    def held(self) -> bool:
        """Whether Ctrl-C came and is being held back."""
        return self._pending

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold Ctrl-C back until the block is left."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending and not self._shields:
            self._pending = False
            raise KeyboardInterrupt


@contextmanager
def stopping() -> Iterator[Event]:
    """An event that the first SIGINT or SIGTERM sets; the second one does what it did before."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        stop.set()

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
