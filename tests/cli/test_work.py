"""From several sources into sinks that may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import EngineError, Parser, Parsing, SinkError, SourceError
from rtparse.cli.work import Job, run
from rtparse.engines.fake import FakeEngine
from rtparse.sinks import JsonlSink, Sink, WindowClosed
from rtparse.sources import Source, open_source


def pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    for index in range(count):
        yield np.full((48, 64, 3), index % 256, np.uint8)


class Stops(JsonlSink):
    """Writes lines until frame `at`, where it raises `error`."""

    def __init__(self, path: Path, at: int, error: Exception) -> None:
        super().__init__(path)
        self._at = at
        self._error = error

    def write(self, parsing: Parsing) -> None:
        if parsing.frame.index == self._at:
            raise self._error
        super().write(parsing)


@pytest.fixture
def parser() -> Iterator[Parser]:
    with Parser(FakeEngine(np.ones((4, 4), np.uint8))) as opened:
        yield opened


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def make(name: str, count: int, sink: Callable[[Path], Sink] = JsonlSink, source: Source | None = None) -> Job:
        path = tmp_path / f"{name}.jsonl"
        return Job(source or open_source(pictures(count)), {path: partial(sink, path)})

    return make


def lines(tmp_path: Path) -> dict[str, int]:
    return {path.name: len(path.read_text().splitlines()) for path in tmp_path.iterdir()}


def test_a_sink_that_fails_ends_its_source_alone(
    parser: Parser, job: Callable[..., Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = partial(Stops, at=3, error=SinkError("the disk is full"))
    jobs = [job("a", 40), job("b", 10**9, full), job("c", 10)]
    assert run(parser, jobs) == 1
    assert lines(tmp_path) == {"a.jsonl": 40, "c.jsonl": 10}
    assert "error: the disk is full" in capsys.readouterr().err


def test_the_only_ones_error_is_raised(parser: Parser, job: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="the disk is full"):
        run(parser, [job("b", 10**9, partial(Stops, at=3, error=SinkError("the disk is full")))])
    assert lines(tmp_path) == {}

    def unplugged() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(2)
        raise SourceError("unplugged")

    with pytest.raises(SourceError, match="unplugged"):
        run(parser, [job("c", 0, source=open_source(unplugged()))])
    assert lines(tmp_path) == {}


def test_a_sink_that_cannot_be_made_stops_all(parser: Parser, job: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="mkdir"):
        run(parser, [job("a", 5), job("no/where", 5)])
    assert lines(tmp_path) == {}


def test_a_failing_engine_keeps_what_was_finished(job: Callable[..., Job], tmp_path: Path) -> None:
    runs = 0

    def breaks(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal runs
        runs += 1
        if runs > 60:
            raise EngineError("out of memory")
        return np.zeros((len(batch), 20, 4, 4), np.float32)

    with Parser(FakeEngine(breaks)) as parser, pytest.raises(EngineError, match="out of memory"):
        run(parser, [job("a", 10**9), job("b", 10)])
    assert lines(tmp_path) == {"b.jsonl": 10}


def test_a_closed_window_finishes_all(parser: Parser, job: Callable[..., Job], tmp_path: Path) -> None:
    assert run(parser, [job("a", 10**9, partial(Stops, at=30, error=WindowClosed())), job("b", 10**9)]) == 0
    found = lines(tmp_path)
    assert found["a.jsonl"] == 30
    assert 20 < found["b.jsonl"] < 40
