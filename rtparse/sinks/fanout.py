"""Several sinks at once, none of which can hold up or stop another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

from rtparse.errors import RtparseError, SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.base import AttendedSink, Sink, WindowClosed
from rtparse.sinks.waiting import Waiting

PATIENCE_SECONDS = 10.0
"""How long a sink may take for one parsing, and all of them for their ends."""
_ATTEND_SECONDS = 0.1

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class Output:
    """One sink of a Fanout.

    make: makes it, in the thread that will write to it. keep: it gets every parsing (a recording), rather than the
    newest whenever it has time (a window). source: the number of the only source whose parsings it gets; None: all get
    there.
    """

    name: str
    make: Callable[[], Sink]
    keep: bool = False
    source: int | None = None


@dataclass(frozen=True)
class OutputState:
    """written, lost: parsings; lost came and were not written. error: why the sink was dropped, None if it was not."""

    name: str
    written: int
    lost: int
    error: RtparseError | None


class Fanout:
    """A sink that hands each parsing to others, each in a thread of its own, and waits for none of them.

        with Parser() as parser:
            out = Fanout([Output("recording", partial(SegmentSink, folder, view), keep=True), Output("app", make)])
            for parsing in parser.stream("rtsp://..."):
                out.write(parsing)
            out.finish()

    A sink that raises, or that takes longer than PATIENCE_SECONDS for a parsing, is dropped: that is logged as a
    warning, and the others go on. To be used from one thread; `states` may be read from any.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        patience: float = PATIENCE_SECONDS,
        wait: bool = False,
        written: Callable[[Parsing], None] = lambda parsing: None,
    ) -> None:
        """Make the sinks. What one of them raises is raised here, with the others aborted.

        wait: `write` waits for sinks that keep all instead of letting them lose a parsing, but no longer than patience.
        written: called with each parsing that has been written by the first sink that gets those of its source and is
            not dropped, in that sink's thread; by `write` where there is none. Thread-safe, and quick.
        """
        self._patience = patience
        self._wait = wait
        self._written = written
        self._workers: list[_Worker] = []
        try:
            for output in outputs:
                self._workers.append(_Worker(output, self._tell))
                self._workers[-1].made.result()
        except BaseException:
            self.abort()
            raise

    @property
    def states(self) -> tuple[OutputState, ...]:
        """How each output does, in the order given. Drops those that are stuck."""
        for worker in self._workers:
            worker.check(self._patience)
        return tuple(worker.state for worker in self._workers)

    @property
    def watched(self) -> bool:
        """False when a viewer has closed a window."""
        return not any(worker.closed for worker in self._workers)

    def write(self, parsing: Parsing) -> None:
        """Raises WindowClosed when a viewer has closed a window, and SinkError when no sink is left."""
        if not self.watched:
            raise WindowClosed
        states = self.states
        if states and all(state.error for state in states):
            raise SinkError(f"no output is left: {states[-1].error}")
        takers = self._takers(parsing)
        for worker in takers:
            worker.put(parsing, self._patience if self._wait else None)
        if not takers:
            self._written(parsing)

    def finish(self) -> None:
        """Let the sinks write what waits for them and finish. Never raises: what failed is in `states`."""
        for worker in self._workers:
            worker.waiting.end()
        self._join()

    def abort(self) -> None:
        for worker in self._workers:
            worker.failed = True
            worker.waiting.clear()
        self._join()

    def _takers(self, parsing: Parsing) -> list[_Worker]:
        return [
            worker
            for worker in self._workers
            if worker.output.source in (None, parsing.frame.source) and worker.error is None
        ]

    def _tell(self, worker: _Worker, parsing: Parsing) -> None:
        if worker in self._takers(parsing)[:1]:
            self._written(parsing)

    def _join(self) -> None:
        until = time.monotonic() + self._patience
        for worker in self._workers:
            worker.thread.join(max(0.0, until - time.monotonic()))
            if worker.thread.is_alive():
                worker.drop(SinkError(f"it did not end within {self._patience:g} s"))


class _Worker:
    """A sink, its thread and what waits for it. `error` is set once, by whoever finds it; then the sink is aborted."""

    def __init__(self, output: Output, tell: Callable[[_Worker, Parsing], None]) -> None:
        self.output = output
        self._tell = tell
        self.waiting = Waiting(output.keep)
        self.made: Future[None] = Future()
        self.error: RtparseError | None = None
        self.failed = False
        self.closed = False
        self._written = 0
        self._came = 0
        self._busy_since: float | None = None
        self.thread = Thread(target=self._run, name=f"rtparse-sink-{output.name}", daemon=True)
        self.thread.start()

    @property
    def state(self) -> OutputState:
        lost = self._came - self._written if self.error else self.waiting.lost
        return OutputState(self.output.name, self._written, lost, self.error)

    def put(self, parsing: Parsing, patience: float | None) -> None:
        self._came += 1
        if not self.waiting.put(parsing, None if patience is None else time.monotonic() + patience):
            self.drop(SinkError(f"it made the others wait for {patience:g} s"))

    def check(self, patience: float) -> None:
        """Drop the sink when it is stuck in a call."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > patience:
            self.drop(SinkError(f"it took no frame for {patience:g} s"))

    def drop(self, error: RtparseError) -> None:
        if self.error is None:
            self.error = error
            self.failed = True
            self.waiting.clear()
            _log.warning("%s was dropped, the others go on: %s", self.output.name, error)

    def _run(self) -> None:
        try:
            sink = self.output.make()
        except BaseException as error:
            self.made.set_exception(error)
            return
        self.made.set_result(None)
        try:
            try:
                self._feed(sink)
            except WindowClosed:
                self.closed = True
                self.waiting.end()
        except Exception as error:
            self._fail(error)
        end = sink.abort if self.failed else sink.finish
        try:
            end()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, RtparseError):
            _log.debug("%s failed", self.output.name, exc_info=error)
            error = SinkError(f"it raised {type(error).__name__}: {error}")
        self.drop(error)

    def _feed(self, sink: Sink) -> None:
        attended = isinstance(sink, AttendedSink)
        while not self.failed:
            try:
                parsing = self.waiting.get(_ATTEND_SECONDS if attended else None)
            except TimeoutError:
                if isinstance(sink, AttendedSink):
                    sink.attend()
                continue
            if parsing is None:
                return
            self._busy_since = time.monotonic()
            try:
                sink.write(parsing)
            finally:
                self._busy_since = None
            self._written += 1
            self._tell(self, parsing)
