"""A source that stays: it is opened again whenever it fails, stalls or ends, and says how it fares."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Condition, Event, Thread
from typing import Literal

from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.live_statistics import LiveStatistics, Meter
from rtparse.sources.live_times import TICK, LiveClock, Seen

__all__ = ["LiveOptions", "LiveSource", "LiveStatistics"]

FIRST_DELAY = 0.25
LONGEST_DELAY = 10.0
"""Seconds before a source is tried again. They double with every try that brings nothing, up to the longest; each is
shortened at random by up to a half, so that many sources of one server do not come back in step."""

CLOSE_SECONDS = 0.5
"""How long `close` waits for the thread that reads. One that waits for a silent server ends with its timeout."""

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class LiveOptions:
    """How live sources are opened and kept; each kind of source takes what concerns it.

    size: (width, height) in pixels that a camera or a screen is asked for; None takes what it gives.
    fps: frames a second that these are asked for.
    mjpeg: ask a camera for compressed pictures, which many need for their higher rates.
    transport: of RTSP. TCP loses nothing; UDP waits for nothing.
    keep_all: no frame is dropped, for recording: the source is made to wait instead, so its frames become late, and
        what it cannot hold back (a camera, UDP) is lost before it gets here.
    open_timeout: seconds within which a source must answer.
    frame_timeout: seconds without a frame after which a source is opened anew.
    attempts: how many tries in a row may bring no frame before the source ends with an error; None tries for ever.

    Raises UsageError for a number that cannot be meant.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    mjpeg: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    keep_all: bool = False
    open_timeout: float = 10.0
    frame_timeout: float = 5.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"got the size {self.size}", "expected (width, height) in pixels")
        for name in ("fps", "open_timeout", "frame_timeout", "attempts"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"got {name} {value}", "expected a number above 0")
        if self.transport not in ("tcp", "udp"):
            raise UsageError(f"got the transport {self.transport!r}", "choose tcp or udp")


class LiveSource(Source):
    """Frames of whatever `opener` opens, again and again. Iterate once, from one thread; all else is thread-safe.

    A thread of its own opens the source and reads it, begun by the iteration. Where opening or reading raises
    SourceError, where no frame comes for `frame_timeout` seconds, and where the frames end, it is closed and opened
    anew after a delay (see LONGEST_DELAY). Other errors, wrong use among them, end the iteration and are raised there.

    Of several frames that nobody has asked for yet only the newest is kept, unless `keep_all`. Frames have `arrived`;
    pts counts from the first frame, goes on over reconnects, and is repaired as `LiveClock` says; index counts the
    frames that came, so a gap in it is what was dropped. A frame that comes a second time (see `Seen`) is left out.
    The size of frames may change at any time. `info` is filled in when the source answers.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Source],
        options: LiveOptions = LiveOptions(),
        *,
        reopen: bool = True,
    ) -> None:
        """name: for messages.

        opener: opens the source, or raises SourceError; called from the reading thread. The source that it returns must
            keep the contract of `Source.close`, and end what it waits for by itself.
        reopen: False for what cannot be had twice, such as standard input: an end is its end, silence is waited out.
        """
        self.info = SourceInfo(name, time_base=TICK, live=True, keep_all=options.keep_all)
        self._opener = opener
        self._options = options
        self._reopen = reopen
        self._meter = Meter(name)
        self._clock = LiveClock(waits=options.keep_all)
        self._seen = Seen()
        self._damage: tuple[str, ...] = ()
        self._changed = Condition()
        self._closed = Event()
        # Guarded by _changed:
        self._next: Frame | None = None
        self._source: Source | None = None
        self._reading_since: float | None = None
        self._stalled = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"rtparse-live {name}", daemon=True)

    @property
    def damage(self) -> tuple[str, ...]:
        """Of the last connection, and how many there were."""
        lines = self._damage
        if count := self._meter.reconnects:
            lines += (f"connected anew {count} time{'s' * (count > 1)}",)
        return lines

    def statistics(self) -> LiveStatistics:
        return self._meter.read()

    def delivered(self, frame: Frame) -> None:
        """Say that what became of a frame has reached its end, a screen or a file. Frames in their order."""
        self._meter.delivered(frame)

    def __iter__(self) -> Iterator[Frame]:
        if self._closed.is_set():
            return
        self._thread.start()
        try:
            while (frame := self._take()) is not None:
                yield frame
        finally:
            self.close()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the iteration at once, and the reading with what it waits for: `open_timeout` seconds at most."""
        with self._changed:
            self._closed.set()
            self._next = None
            source = self._source
            self._changed.notify_all()
        self._meter.turned("closed")
        if source is not None:
            source.close()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _take(self) -> Frame | None:
        """The next frame; None at the end. Who waits here also watches."""
        with self._changed:
            while self._next is None and not self._ended and not self._closed.is_set():
                self._changed.wait(self._watch())
            frame, self._next = self._next, None
            self._changed.notify_all()
            return frame

    def _watch(self) -> float:
        """Close a source that has been silent for too long. Seconds until it is worth looking again."""
        timeout = self._options.frame_timeout
        if not self._reopen or self._stalled or self._source is None or self._reading_since is None:
            return timeout / 4
        left = self._reading_since + timeout - time.monotonic()
        if left > 0:
            return min(left, timeout / 4)
        self._stalled = True
        self._source.close()
        return timeout / 4

    def _run(self) -> None:
        error = None
        try:
            self._supervise()
        except BaseException as raised:
            error = raised
        self._meter.turned("closed", None if error is None else str(error))
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def _supervise(self) -> None:
        delay, failures, told = FIRST_DELAY, 0, False
        while not self._closed.is_set():
            self._meter.turned("connecting")
            began, before = time.monotonic(), self._meter.frames_in
            error: SourceError | None = None
            try:
                self._read()
            except SourceError as raised:
                error = raised
            if self._closed.is_set():
                return
            if not self._reopen:
                if error is not None:
                    raise error
                return
            came = self._meter.frames_in > before
            why = self._why(error)
            failures = 0 if came else failures + 1
            if failures == self._options.attempts:
                raise SourceError(f"{why}; no frame in {failures} attempts")
            # One that held for longer than it was waited for starts over; one that always fails at once does not.
            delay = FIRST_DELAY if came and time.monotonic() - began > delay else min(2 * delay, LONGEST_DELAY)
            _log.log(logging.DEBUG if told and not came else logging.WARNING, "%s; trying again", why)
            told = True
            self._meter.turned("waiting", why)
            self._closed.wait(delay * random.uniform(0.5, 1))

    def _why(self, error: SourceError | None) -> str:
        if self._stalled:
            return f"{self.info.name} gave no frame for {self._options.frame_timeout:g} s"
        return str(error) if error else "; ".join((f"the frames of {self.info.name} ended", *self._damage))

    def _read(self) -> None:
        """One connection, until it ends. Raises SourceError."""
        self._stalled = False
        self._clock.restart()
        with self._opener() as source:
            with self._changed:
                self._source = source
            try:
                frames = iter(source)
                while (frame := self._read_next(frames)) is not None:
                    self._give(frame, source.info)
            finally:
                with self._changed:
                    self._source = None
                    self._reading_since = None
                self._damage = source.damage

    def _read_next(self, frames: Iterator[Frame]) -> Frame | None:
        with self._changed:
            if self._closed.is_set():
                return None
            self._reading_since = time.monotonic()
        frame = next(frames, None)
        with self._changed:
            self._reading_since = None
        return frame

    def _give(self, frame: Frame, info: SourceInfo) -> None:
        arrived = time.monotonic() if frame.arrived is None else frame.arrived
        if self._seen.again(frame.pts, frame.image, arrived):
            self._meter.duplicate()
            return
        pts = self._clock.place(frame.pts, arrived)
        index = self._meter.frames_in
        if self._meter.arrived(arrived, self._clock.repaired):
            height, width = frame.size_hw
            self.info = replace(self.info, width=width, height=height, fps=info.fps)
            if index:
                _log.warning("the frames of %s are back", self.info.name)
        with self._changed:
            while self._options.keep_all and self._next is not None and not self._closed.is_set():
                self._changed.wait()
            if not self._closed.is_set():
                self._next = replace(frame, pts=pts, index=index, name=self.info.name, arrived=arrived)
                self._changed.notify_all()
