"""Sinks side by side: one that fails, blocks or is slow is its own trouble."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rtparse.errors import SinkError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks import CallbackSink, Fanout, JsonlSink, Output, WindowClosed
from rtparse.sinks import waiting as waiting_module
from rtparse.sinks.waiting import Waiting

Numbered = Callable[..., Parsing]


class Recorder:
    """A real sink of the simplest kind: remembers what it was called with, in which thread."""

    def __init__(self, pause: float = 0.0) -> None:
        self.numbers: list[int] = []
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self._pause = pause

    def write(self, parsing: Parsing) -> None:
        self.threads.add(threading.get_ident())
        time.sleep(self._pause)
        self.numbers.append(parsing.frame.index)

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


class Failing(Recorder):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, parsing: Parsing) -> None:
        super().write(parsing)
        if parsing.frame.index == 3:
            raise self._error


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end of the test, so that no blocked thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def no_sink_threads() -> bool:
    return not [each for each in threading.enumerate() if each.name.startswith("rtparse-sink")]


def test_each_sink_gets_all_in_order_in_a_thread_of_its_own(numbered: Numbered) -> None:
    sinks = [Recorder(), Recorder(0.002)]
    out = Fanout([Output("fast", lambda: sinks[0], keep=True), Output("slow", lambda: sinks[1], keep=True)])
    for number in range(50):
        out.write(numbered(number))
    out.finish()
    assert [sink.numbers for sink in sinks] == [list(range(50))] * 2
    assert [sink.calls for sink in sinks] == [["finish"]] * 2
    assert len(sinks[0].threads | sinks[1].threads | {threading.get_ident()}) == 3
    assert [(state.written, state.lost, state.error) for state in out.states] == [(50, 0, None)] * 2
    assert no_sink_threads()


def test_a_slow_live_sink_sees_the_newest_and_slows_nobody(numbered: Numbered) -> None:
    slow = Recorder(0.05)
    out = Fanout([Output("window", lambda: slow)])
    took = []
    for number in range(40):
        started = time.perf_counter()
        out.write(numbered(number))
        took.append(time.perf_counter() - started)
        time.sleep(0.005)
    out.finish()
    assert slow.numbers == sorted(set(slow.numbers))
    assert slow.numbers[-1] == 39
    assert 3 <= len(slow.numbers) < 20
    assert out.states[0].lost == 40 - len(slow.numbers)
    assert sorted(took)[20] < 0.005


def test_the_newest_of_each_source_is_kept(numbered: Numbered, gate: threading.Event) -> None:
    seen: list[tuple[int, int]] = []

    def look(parsing: Parsing) -> None:
        seen.append((parsing.frame.source, parsing.frame.index))
        gate.wait(5)

    out = Fanout([Output("windows", lambda: CallbackSink(look))])
    for number in range(4):
        for source in (0, 1):
            out.write(numbered(number, source=source))
            wait_until(lambda: bool(seen))
    gate.set()
    out.finish()
    assert seen == [(0, 0), (0, 3), (1, 3)]


def test_an_output_gets_only_its_source(numbered: Numbered) -> None:
    first, second, both = Recorder(), Recorder(), Recorder()
    sinks = [(first, 0), (second, 1), (both, None)]
    out = Fanout([Output(str(source), lambda sink=sink: sink, keep=True, source=source) for sink, source in sinks])
    for number in range(6):
        out.write(numbered(number, source=number % 2))
    out.finish()
    assert (first.numbers, second.numbers, both.numbers) == ([0, 2, 4], [1, 3, 5], [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SinkError("the disk is full", "free some space"), "the disk is full; free some space"),  # an error of ours
        (ZeroDivisionError("division by zero"), "it raised ZeroDivisionError: division by zero"),  # any other
    ],
)
def test_a_sink_that_raises_is_dropped_and_reported(
    numbered: Numbered, caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    bad, good = Failing(error), Recorder()
    out = Fanout([Output("bad", lambda: bad, keep=True), Output("good", lambda: good, keep=True)])
    for number in range(10):
        out.write(numbered(number))
        if number == 3:
            wait_until(lambda: out.states[0].error is not None)
    out.finish()
    assert good.numbers == list(range(10))
    assert (bad.numbers, bad.calls) == ([0, 1, 2, 3], ["abort"])
    assert str(out.states[0].error) == said
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"bad was dropped, the others go on: {said}"
    ]
    assert no_sink_threads()


def test_a_sink_that_blocks_is_dropped_and_reported(numbered: Numbered, gate: threading.Event) -> None:
    good = Recorder()
    out = Fanout(
        [Output("stuck", lambda: CallbackSink(lambda parsing: gate.wait(30))), Output("good", lambda: good, keep=True)],
        patience=0.2,
    )
    started = time.monotonic()
    number = 0
    while out.states[0].error is None:
        out.write(numbered(number))
        number += 1
        time.sleep(0.01)
        assert time.monotonic() - started < 5
    out.write(numbered(number))
    out.finish()
    assert "took no frame for 0.2 s" in str(out.states[0].error)
    assert good.numbers == list(range(number + 1))
    assert time.monotonic() - started < 5
    gate.set()
    wait_until(no_sink_threads)


def test_a_sink_that_never_ends_does_not_hold_up_the_end(numbered: Numbered, gate: threading.Event) -> None:
    class Endless(Recorder):
        def finish(self) -> None:
            gate.wait(30)

    good = Recorder()
    out = Fanout([Output("endless", Endless), Output("good", lambda: good, keep=True)], patience=0.2)
    out.write(numbered(0))
    started = time.monotonic()
    out.finish()
    assert time.monotonic() - started < 2
    assert "did not end" in str(out.states[0].error)
    assert (good.numbers, good.calls, out.states[1].error) == ([0], ["finish"], None)


def test_what_was_written_is_told_by_the_first_sink_that_lives(numbered: Numbered) -> None:
    told: list[tuple[int, int]] = []
    bad, good = Failing(SinkError("full")), Recorder()
    out = Fanout(
        [Output("bad", lambda: bad, keep=True, source=0), Output("good", lambda: good, keep=True, source=0)],
        written=lambda parsing: told.append((parsing.frame.source, parsing.frame.index)),
    )
    for number in range(6):
        out.write(numbered(number))
        wait_until(lambda: len(good.numbers) == number + 1)  # noqa: B023
        wait_until(lambda: number < 3 or out.states[0].error is not None)  # noqa: B023
    out.write(numbered(9, source=1))  # which has no sink
    out.finish()
    assert [each for each in told if each != (0, 3)] == [(0, 0), (0, 1), (0, 2), (0, 4), (0, 5), (1, 9)]


def test_when_no_sink_is_left_write_says_so(numbered: Numbered) -> None:
    def refuse(parsing: Parsing) -> None:
        raise ValueError("no")

    out = Fanout([Output("app", lambda: CallbackSink(refuse))])
    out.write(numbered(0))
    wait_until(lambda: out.states[0].error is not None)
    with pytest.raises(SinkError, match=r"no output is left: the callback .*refuse raised ValueError: no"):
        out.write(numbered(1))
    out.finish()


def test_a_sink_that_cannot_be_made_stops_the_others_before_they_begin(tmp_path: Path) -> None:
    good = Recorder()
    missing = tmp_path / "missing" / "out.jsonl"
    with pytest.raises(SinkError, match="missing"):
        Fanout([Output("good", lambda: good), Output("bad", lambda: JsonlSink(missing))])
    assert good.calls == ["abort"]
    assert no_sink_threads()


def test_a_closed_window_ends_the_loop(numbered: Numbered) -> None:
    class Window(Recorder):
        def attend(self) -> None:
            raise WindowClosed  # its user closes it while no frame comes

    window, file = Window(), Recorder()
    out = Fanout([Output("window", lambda: window), Output("file", lambda: file, keep=True)])
    out.write(numbered(0))
    wait_until(lambda: not out.watched)
    with pytest.raises(WindowClosed):
        out.write(numbered(1))
    out.finish()
    assert (window.calls, file.calls, file.numbers) == (["finish"], ["finish"], [0])
    assert [state.error for state in out.states] == [None, None]


def test_a_window_that_was_closed_while_it_took_a_frame_is_not_stuck(numbered: Numbered) -> None:
    class Window(Recorder):
        def write(self, parsing: Parsing) -> None:
            raise WindowClosed

    out = Fanout([Output("window", Window)], patience=0.05)
    out.write(numbered(0))
    wait_until(lambda: not out.watched)
    time.sleep(0.1)
    assert out.states[0].error is None
    out.finish()


def test_abort_reaches_every_sink(numbered: Numbered) -> None:
    sinks = [Recorder(), Recorder()]
    out = Fanout([Output(str(i), lambda i=i: sinks[i]) for i in range(2)])
    out.write(numbered(0))
    out.abort()
    assert [sink.calls for sink in sinks] == [["abort"]] * 2
    assert no_sink_threads()


def test_what_waits_for_a_recording_is_bounded(monkeypatch: pytest.MonkeyPatch, numbered: Numbered) -> None:
    size = numbered(0).frame.image.nbytes + numbered(0).labels.nbytes
    monkeypatch.setattr(waiting_module, "HELD_BYTES", 5 * size)
    waiting = Waiting(keep=True)
    for number in range(12):
        assert waiting.put(numbered(number))
    assert waiting.lost == 7
    assert [waiting.get().frame.index for _ in range(5)] == [7, 8, 9, 10, 11]  # type: ignore[union-attr]
    with pytest.raises(TimeoutError):
        waiting.get(0.01)
    waiting.put(Parsing(Frame(np.zeros((2000, 2000, 3), np.uint8)), np.zeros((2000, 2000), np.uint8)))
    assert waiting.get() is not None  # one that is larger than the bound passes alone


def test_a_recording_may_make_the_giver_wait(monkeypatch: pytest.MonkeyPatch, numbered: Numbered) -> None:
    size = numbered(0).frame.image.nbytes + numbered(0).labels.nbytes
    monkeypatch.setattr(waiting_module, "HELD_BYTES", 3 * size)
    slow = Recorder(0.01)
    out = Fanout([Output("slow", lambda: slow, keep=True)], wait=True)
    for number in range(30):
        out.write(numbered(number))
    out.finish()
    assert slow.numbers == list(range(30))
    assert out.states[0].lost == 0


def test_waiting_for_a_stuck_recording_has_an_end(
    monkeypatch: pytest.MonkeyPatch, numbered: Numbered, gate: threading.Event
) -> None:
    monkeypatch.setattr(waiting_module, "HELD_BYTES", 1)
    out = Fanout(
        [Output("stuck", lambda: CallbackSink(lambda parsing: gate.wait(30)), keep=True)], patience=0.2, wait=True
    )
    started = time.monotonic()
    with pytest.raises(SinkError, match="no output is left"):
        deque(map(out.write, map(numbered, range(9))), maxlen=0)
    assert 0.1 < time.monotonic() - started < 3
