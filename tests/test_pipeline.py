"""Order, overlap, bounds, batches, and threads that end."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtparse import pipeline
from rtparse.errors import EngineError
from rtparse.pipeline import Pipeline
from rtparse.pipeline import Stage as BatchStage


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    gc.collect()
    assert threading.active_count() == before


def Stage(work: Callable[[Any], Any], workers: int = 1) -> BatchStage:  # noqa: N802 - a stage, of work on single items
    return BatchStage(lambda batch: [work(item) for item in batch], workers)


def double(x: int) -> int:
    return 2 * x


def test_results_come_in_order_from_any_number_of_workers() -> None:
    def uneven(x: int) -> int:
        time.sleep(random.Random(x).uniform(0, 0.004))
        return x + 1

    stages = [Stage(uneven, workers=4), Stage(double), Stage(uneven, workers=2)]
    assert list(Pipeline([range(200)], stages)) == [2 * (x + 1) + 1 for x in range(200)]


def test_nothing_in_nothing_out_and_the_end_stays_the_end() -> None:
    results = Pipeline([[]], [Stage(double)])
    assert list(results) == []
    assert list(results) == []
    assert list(Pipeline([], [Stage(double)])) == []


def test_stages_overlap() -> None:
    def slow(x: int) -> int:
        time.sleep(0.02)
        return x

    def reading() -> Iterator[int]:
        for x in range(20):
            time.sleep(0.02)
            yield x

    started = time.perf_counter()
    for _ in Pipeline([reading()], [Stage(slow), Stage(slow)]):
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

    with Pipeline[int]([reading()], [Stage(double, workers=2), Stage(double)]) as results:
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
    for result in Pipeline([range(200)], [Stage(make), Stage(lambda big: big)]):
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
    results = Pipeline[int]([source], stages)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="broken 5"):
        next(results)
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())
    with pytest.raises(StopIteration):
        next(results)


def test_leaving_the_loop_ends_the_threads() -> None:
    for result in Pipeline([range(10**9)], [Stage(double, workers=2)]):
        if result == 20:
            break
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())


def test_an_exception_of_the_consumer_ends_the_threads() -> None:
    def interrupted() -> None:
        for _ in Pipeline([range(10**9)], [Stage(double)]):
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

    results = Pipeline[int]([blocking()], [Stage(double)], stop=stopped.set)
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

    with Pipeline[int]([deaf()], [Stage(double)]) as results:
        next(results)
    assert "still blocks" in caplog.text
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rtparse-read"):
            thread.join()


def test_closing_stops_once_also_before_the_start() -> None:
    calls: list[int] = []
    results = Pipeline[int]([range(3)], [Stage(double)], stop=lambda: calls.append(1))
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

    with Pipeline[int]([camera()], [Stage(work)], live=[True]) as results:
        threading.Thread(target=lambda: (all_read.wait(), go_on.set())).start()
        assert list(results) == [0, 9]
        assert results.dropped == 8


def numbered(lane: int, count: int, pause: float = 0.0) -> Iterator[tuple[int, int]]:
    for x in range(count):
        time.sleep(pause)
        yield lane, x


def test_each_input_keeps_its_order_and_loses_nothing() -> None:
    def uneven(item: tuple[int, int]) -> tuple[int, int]:
        time.sleep(random.Random(repr(item)).uniform(0, 0.003))
        return item

    inputs = [numbered(0, 60), numbered(1, 0), numbered(2, 25), numbered(3, 60)]
    results = list(Pipeline[tuple[int, int]](inputs, [Stage(uneven, 3), Stage(uneven)], batch=3))
    for lane, count in enumerate((60, 0, 25, 60)):
        assert [x for number, x in results if number == lane] == list(range(count))
    # In turns: when the short one has ended, the long ones are about as far.
    assert abs(results.index((0, 24)) - results.index((3, 24))) <= 10


def test_a_slow_input_holds_no_other() -> None:
    release = threading.Event()

    def slow() -> Iterator[tuple[int, int]]:
        yield 1, 0
        release.wait()
        yield 1, 1

    results = Pipeline[tuple[int, int]]([numbered(0, 50), slow()], [Stage(lambda x: x, 2)], batch=2)
    first = [next(results) for _ in range(51)]
    assert sorted(first) == [*((0, x) for x in range(50)), (1, 0)]
    release.set()
    assert list(results) == [(1, 1)]


def test_a_batch_is_what_waits_and_is_of_one_kind() -> None:
    batches: list[list[tuple[int, int]]] = []
    gate = threading.Event()
    count = 3

    def work(batch: list[tuple[int, int]]) -> list[tuple[int, int]]:
        gate.wait()
        batches.append(batch)
        time.sleep(0.02)  # meanwhile every input has its next item ready
        return batch

    inputs = [numbered(lane, count) for lane in range(5)]
    results = Pipeline[tuple[int, int]](inputs, [BatchStage(work)], batch=2, kind=lambda item: item[0] % 2)
    threading.Timer(0.1, gate.set).start()
    assert len(list(results)) == 5 * count
    assert all(len({lane % 2 for lane, _ in batch}) == 1 for batch in batches)
    # After the first, lanes 0, 2 and 4 always have two to give, 1 and 3 too.
    assert max(map(len, batches)) == 2
    assert sum(len(batch) == 2 for batch in batches) >= 5


def test_an_input_that_fails_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fails(lane: int) -> Iterator[tuple[int, int]]:
        yield from numbered(lane, 5)
        raise ValueError(f"lane {lane} broken")

    results = Pipeline[tuple[int, int]]([fails(0), numbered(1, 40, 0.002), fails(2)], [Stage(lambda x: x, 2)], batch=2)
    found: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(results)
    assert sorted(found) == sorted([*numbered(0, 5), *numbered(1, 40), *numbered(2, 5)])
    assert {number: str(error) for number, error in results.ended.items()} == {
        0: "lane 0 broken",
        1: "None",
        2: "lane 2 broken",
    }
    assert "source 0 has failed, the others go on: lane 0 broken" in caplog.text
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("place", [0, 1], ids=["first stage", "last stage"])
def test_what_a_stage_raises_ends_all_inputs(place: int) -> None:
    def breaks(here: int, item: tuple[int, int]) -> tuple[int, int]:
        if here == place and item == (1, 5):
            raise ValueError("broken")
        return item

    stages = [Stage(lambda item: breaks(0, item), 2), Stage(lambda item: breaks(1, item))]
    results = Pipeline[tuple[int, int]]([numbered(0, 10**9), numbered(1, 10**9)], stages, batch=2)
    found: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(results)
    assert [x for lane, x in found if lane == 1] == list(range(5))
    assert not any(t.name.startswith("rtparse") for t in threading.enumerate())


def test_the_kind_of_an_item_may_fail_as_its_input_does() -> None:
    def kind(item: tuple[int, int]) -> int:
        if item == (0, 3):
            raise ValueError("unheard of")
        return 0

    results = Pipeline[tuple[int, int]]([numbered(0, 9), numbered(1, 9)], [Stage(lambda x: x)], kind=kind)
    found = [next(results) for _ in range(12)]
    with pytest.raises(ValueError, match="unheard of"):
        next(results)
    assert sorted(found) == sorted([*numbered(0, 3), *numbered(1, 9)])


def test_many_inputs_are_bounded_together() -> None:
    read = 0

    def reading() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    with Pipeline[int]([reading() for _ in range(6)], [Stage(double, 2), Stage(double)], batch=4) as results:
        for taken in range(1, 60):
            next(results)
            time.sleep(0.002)
            # Two of each input at the door; then at most two batches that wait for, three in the hands of and one
            # behind the workers, and one whose results are being taken.
            assert read - taken <= 6 * 2 + 7 * 4


def test_a_live_input_drops_its_own_items_only() -> None:
    begun, go_on = threading.Event(), threading.Event()
    all_read = threading.Event()

    def camera() -> Iterator[tuple[int, int]]:
        begun.wait()
        yield from numbered(0, 10)
        all_read.set()

    def work(item: tuple[int, int]) -> tuple[int, int]:
        begun.set()
        go_on.wait()
        return item

    with Pipeline[tuple[int, int]]([camera(), numbered(1, 10)], [Stage(work)], live=[True, False]) as results:
        threading.Thread(target=lambda: (all_read.wait(), go_on.set())).start()
        found = list(results)
        assert [item for item in found if item[0] == 0] == [(0, 9)]
        assert [item for item in found if item[0] == 1] == list(numbered(1, 10))
        assert results.dropped == 9


def test_closing_waits_for_all_deaf_inputs_together(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "STOP_SECONDS", 0.2)
    release = threading.Event()

    def deaf() -> Iterator[int]:
        yield 1
        release.wait()

    results = Pipeline[int]([deaf() for _ in range(5)], [Stage(double)])
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 0.6
    assert "still blocks" in caplog.text
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rtparse-read"):
            thread.join()


def test_a_forked_process_is_told_that_it_has_no_threads() -> None:
    with Pipeline([range(1000)], [Stage(double)]) as results:
        assert next(results) == 0
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # ends a child that waits
            try:
                list(results)
            except EngineError as error:
                os.write(write, str(error).encode())
            results.close()
            del results
            gc.collect()
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            assert "forked after the stream had begun" in pipe.read()
        assert os.waitpid(child, 0)[1] == 0
        assert next(results) == 2
