"""Order, overlap, bounds, and threads that end."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from rtparse import pipeline
from rtparse.pipeline import Pipeline, Stage


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    gc.collect()
    assert threading.active_count() == before


def double(x: int) -> int:
    return 2 * x


def test_results_come_in_order_from_any_number_of_workers() -> None:
    def uneven(x: int) -> int:
        time.sleep(random.Random(x).uniform(0, 0.004))
        return x + 1

    stages = [Stage(uneven, workers=4), Stage(double), Stage(uneven, workers=2)]
    assert list(Pipeline(range(200), stages)) == [2 * (x + 1) + 1 for x in range(200)]


def test_nothing_in_nothing_out_and_the_end_stays_the_end() -> None:
    results = Pipeline([], [Stage(double)])
    assert list(results) == []
    assert list(results) == []


def test_stages_overlap() -> None:
    def slow(x: int) -> int:
        time.sleep(0.02)
        return x

    def reading() -> Iterator[int]:
        for x in range(20):
            time.sleep(0.02)
            yield x

    started = time.perf_counter()
    for _ in Pipeline(reading(), [Stage(slow), Stage(slow)]):
        time.sleep(0.02)
    # One after the other they take 1.6 s, side by side 0.46 s.
    assert time.perf_counter() - started < 1.0


def test_a_slow_consumer_holds_the_reader_back() -> None:
    read = 0

    def reading() -> Iterator[int]:
        nonlocal read
        for x in range(100):
            read += 1
            yield x

    with Pipeline[int](reading(), [Stage(double, workers=2), Stage(double)]) as results:
        for taken in range(1, 20):
            next(results)
            time.sleep(0.01)
            # In flight at most: one in the reader's hand, one waiting for each of three workers, three in their hands,
            # and the results not yet taken.
            assert read - taken <= 10


def test_results_are_not_kept() -> None:
    class Big:
        pass

    alive: weakref.WeakSet[Big] = weakref.WeakSet()

    def make(_: int) -> Big:
        big = Big()
        alive.add(big)
        return big

    most = 0
    for result in Pipeline(range(200), [Stage(make), Stage(lambda big: big)]):
        assert isinstance(result, Big)
        most = max(most, len(alive))
    assert most <= 10


@pytest.mark.parametrize("place", ["source", "first stage", "last stage"])
def test_an_exception_comes_after_the_results_before_it(place: str) -> None:
    def fails(here: str, x: int) -> int:
        if x == 5 and place == here:
            raise ValueError(f"broken {x}")
        return x

    source = (fails("source", x) for x in range(10))
    stages = [Stage(lambda x: fails("first stage", x), workers=3), Stage(lambda x: fails("last stage", x))]
    results = Pipeline[int](source, stages)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="broken 5"):
        next(results)
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())
    with pytest.raises(StopIteration):
        next(results)


def test_leaving_the_loop_ends_the_threads() -> None:
    for result in Pipeline(range(10**9), [Stage(double, workers=2)]):
        if result == 20:
            break
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())


def test_an_exception_of_the_consumer_ends_the_threads() -> None:
    def interrupted() -> None:
        for _ in Pipeline(range(10**9), [Stage(double)]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    gc.collect()
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())


def test_closing_wakes_a_source_that_blocks() -> None:
    waiting, stopped = threading.Event(), threading.Event()

    def blocking() -> Iterator[int]:
        yield 1
        waiting.set()
        stopped.wait()

    results = Pipeline[int](blocking(), [Stage(double)], stop=stopped.set)
    assert next(results) == 2
    waiting.wait()
    results.close()
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())


def test_a_source_that_never_ends_is_left_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "STOP_SECONDS", 0.05)
    release = threading.Event()

    def deaf() -> Iterator[int]:
        yield 1
        release.wait()

    with Pipeline[int](deaf(), [Stage(double)]) as results:
        next(results)
    assert "still blocks" in caplog.text
    release.set()
    for thread in threading.enumerate():
        if thread.name == "rtparse-read":
            thread.join()


def test_closing_stops_once_also_before_the_start() -> None:
    calls: list[int] = []
    results = Pipeline[int](range(3), [Stage(double)], stop=lambda: calls.append(1))
    results.close()
    results.close()
    assert calls == [1]
    assert list(results) == []


def test_live_input_drops_the_oldest_and_counts() -> None:
    begun, go_on = threading.Event(), threading.Event()
    all_read = threading.Event()

    def camera() -> Iterator[int]:
        yield 0
        begun.wait()  # 0 is being worked on: all that follows waits
        yield from range(1, 10)
        all_read.set()

    def work(x: int) -> int:
        if x == 0:
            begun.set()
            go_on.wait()
        return x

    with Pipeline[int](camera(), [Stage(work)], live=True) as results:
        threading.Thread(target=lambda: (all_read.wait(), go_on.set())).start()
        assert list(results) == [0, 9]
        assert results.dropped == 8
