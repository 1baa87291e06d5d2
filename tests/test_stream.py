"""Several sources through one parser: real files, a real engine."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import EngineError, Frame, Parser, Parsing, SourceError, UsageError
from rtparse.engines import open_engine
from rtparse.engines.fake import FakeEngine
from rtparse.sources.base import SourceInfo

linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")


@pytest.fixture(params=[1, 3], ids=["one by one", "batches of 3"])
def parser(tiny_onnx: Path, request: pytest.FixtureRequest) -> Iterator[Parser]:
    with open_engine(tiny_onnx) as engine:
        engine.batch = request.param
        with Parser(engine) as opened:
            yield opened


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("rtparse")]


@pytest.fixture
def clips(make_clip: Callable[..., Path], tmp_path: Path) -> list[Path]:
    """25 frames of 96x64, 10 of a rotated 64x96, and a folder of 7 pictures of 80x60."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(7):
        cv2.imwrite(str(folder / f"{number}.png"), picture(number, (60, 80)))
    return [make_clip("long.mp4"), make_clip("short.mkv", frames=10, rotation=(90, False, False)), folder]


def picture(seed: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def pictures(count: int, pause: float = 0.0) -> Iterator[NDArray[np.uint8]]:
    for seed in range(count):
        time.sleep(pause)
        yield picture(seed)


def by_source(parsings: list[Parsing]) -> dict[int, list[Parsing]]:
    return {n: [p for p in parsings if p.frame.source == n] for n in sorted({p.frame.source for p in parsings})}


def open_files() -> list[str]:
    """What this process has open on disks."""
    gc.collect()
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them is closed by now
            found.append(str(link.readlink()))
    return sorted(name for name in found if name.startswith("/") and not name.startswith(("/dev", "/proc")))


def test_each_source_is_parsed_as_it_is_alone(parser: Parser, clips: list[Path]) -> None:
    with parser.stream(clips) as stream:
        assert [source.info.name for source in stream.sources] == [str(clip) for clip in clips]
        together = by_source(list(stream))
        assert stream.ended == {0: None, 1: None, 2: None}
        assert stream.damage == ()
    for number, clip in enumerate(clips):
        alone = list(parser.stream(clip))
        assert [p.frame.index for p in together[number]] == list(range(len(alone)))
        assert [p.frame.pts for p in together[number]] == [p.frame.pts for p in alone]
        assert {p.frame.source for p in alone} == {0}
        for one, other in zip(together[number], alone, strict=True):
            np.testing.assert_array_equal(one.frame.image, other.frame.image)
            # Sums in batches may be rounded otherwise, which moves labels where two classes tie.
            assert (one.labels != other.labels).mean() < 1e-3
            if parser.engine.batch == 1:
                np.testing.assert_array_equal(one.labels, other.labels)


def test_real_clips_through_the_built_in_model(shared: Path) -> None:
    clips = [Path(__file__).parents[1] / "examples" / "walk.mp4", shared / "media" / "asl-walk.mkv"]
    with Parser() as parser:
        found: list[Parsing] = []
        with parser.stream(clips) as stream:
            for parsing in stream:
                found.append(parsing)
                if len(found) == 8:
                    break
        assert {p.frame.source for p in found} == {0, 1}
        for parsing in found:
            np.testing.assert_array_equal(parsing.labels, parser(parsing.frame).labels)


def test_sources_take_turns(parser: Parser) -> None:
    order = [p.frame.source for p in parser.stream([pictures(30), pictures(30), pictures(30)])]
    assert order.count(0) == order.count(1) == order.count(2) == 30
    for number in range(3):
        last = len(order) - 1 - order[::-1].index(number)
        assert last > 70  # none is done early at the cost of the others


def test_frames_of_several_sources_share_a_run() -> None:
    sizes: list[int] = []

    def record(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(len(batch))
        time.sleep(0.01)
        return np.zeros((len(batch), 20, 4, 4), np.float32)

    engine = FakeEngine(record)
    engine.batch = 2
    with Parser(engine) as parser:
        # The last is upright: it has another input size and shares with no other.
        upright = (picture(seed, (64, 48)) for seed in range(20))
        found = by_source(list(parser.stream([pictures(20), pictures(20), upright])))
    assert {n: len(each) for n, each in found.items()} == {0: 20, 1: 20, 2: 20}
    assert max(sizes) == 2
    assert sizes.count(2) >= 15
    sizes.clear()
    with Parser(engine) as parser:
        list(parser.stream(pictures(10)))
    assert sizes == [1] * 10


def test_a_slow_source_holds_no_fast_one(parser: Parser) -> None:
    """The slow one needs 3 s; the fast one is done long before."""
    started = time.monotonic()
    done = {}
    for parsing in parser.stream([pictures(6, pause=0.5), pictures(60)]):
        done[parsing.frame.source] = time.monotonic() - started
    assert done[0] > 2.9
    assert done[1] < done[0] - 1


def test_a_live_source_beside_a_file_stays_fresh(parser: Parser) -> None:
    class Camera:
        info = SourceInfo("camera", live=True)
        damage = ()

        def __init__(self) -> None:
            self.closed = threading.Event()

        def __iter__(self) -> Iterator[Frame]:
            index = 0
            while not self.closed.wait(0.002):
                yield Frame(picture(0), index / 500, index)
                index += 1

        def close(self) -> None:
            self.closed.set()

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    seen: dict[int, list[int]] = {0: [], 1: []}
    with parser.stream([Camera(), pictures(10**9)]) as stream:
        for parsing in stream:
            seen[parsing.frame.source].append(parsing.frame.index)
            time.sleep(0.02)
            if len(seen[0]) > 10 < len(seen[1]):
                break
        assert stream.dropped > 20
    assert seen[1] == list(range(len(seen[1])))  # of the file, none is dropped
    assert seen[0] == sorted(set(seen[0]))
    assert seen[0][-1] > 2 * len(seen[0])


def test_smoothing_keeps_the_sources_apart(tiny_onnx: Path) -> None:
    with Parser(tiny_onnx, smooth=0.8) as parser:
        still = [picture(1)] * 12
        other = [picture(2)] * 12
        alone = [p.labels for p in parser.stream(list(still))]
        together = by_source(list(parser.stream([iter(still), iter(other)])))
        for one, expected in zip(together[0], alone, strict=True):
            np.testing.assert_array_equal(one.labels, expected)


def test_a_source_that_fails_ends_alone_and_is_raised_at_the_end(
    parser: Parser, caplog: pytest.LogCaptureFixture
) -> None:
    def unplugged() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(4)
        raise SourceError("cable 7 was pulled")

    stream = parser.stream([pictures(30), unplugged(), pictures(10)])
    found: list[Parsing] = []
    with pytest.raises(SourceError, match="cable 7"):
        found.extend(stream)
    assert {n: [p.frame.index for p in each] for n, each in by_source(found).items()} == {
        0: list(range(30)),
        1: list(range(4)),
        2: list(range(10)),
    }
    assert stream.ended.keys() == {0, 1, 2}
    assert isinstance(stream.ended[1], SourceError)
    assert stream.ended[0] is stream.ended[2] is None
    assert "cable 7 was pulled" in caplog.text
    assert list(stream) == []


def test_a_picture_that_is_none_is_its_sources_failure(parser: Parser) -> None:
    found: list[Parsing] = []
    with pytest.raises(UsageError, match="expected"):
        found.extend(parser.stream([iter([picture(0), "no picture"]), pictures(5)]))
    assert {n: len(each) for n, each in by_source(found).items()} == {0: 1, 1: 5}


def test_a_failing_engine_ends_all(clips: list[Path]) -> None:
    runs = 0

    def breaks(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal runs
        runs += 1
        if runs > 5:
            raise EngineError("out of memory")
        return np.zeros((len(batch), 20, 4, 4), np.float32)

    found: list[Parsing] = []
    with Parser(FakeEngine(breaks)) as parser, pytest.raises(EngineError, match="out of memory"):
        found.extend(parser.stream([*clips, pictures(10**9)]))
    assert len(found) <= 5


def test_an_engine_that_is_closed_meanwhile_ends_all(parser: Parser) -> None:
    stream = parser.stream([pictures(10**9), pictures(10**9)])
    next(stream)
    parser.engine.close()
    with pytest.raises(EngineError, match="was closed"):
        list(stream)


@linux
@pytest.mark.parametrize("ending", ["close", "break", "consumer raises", "never begun", "source fails", "end"])
def test_whatever_ends_a_stream_ends_its_threads_and_closes_its_files(
    parser: Parser, clips: list[Path], ending: str
) -> None:
    list(parser.stream(clips[0]))  # what libraries open once, and keep
    before = open_files()

    def fails() -> Iterator[NDArray[np.uint8]]:
        yield picture(0)
        raise SourceError("gone")

    def run() -> None:
        sources: list[object] = [*clips, clips[0], fails() if ending == "source fails" else pictures(20)]
        stream = parser.stream(sources)
        assert len(open_files()) > len(before)
        if ending == "never begun":
            stream.close()
            return
        for count, _ in enumerate(stream):
            if count == 6 and ending == "close":
                stream.close()
            if count == 6 and ending == "break":
                break
            if count == 6 and ending == "consumer raises":
                raise RuntimeError("the application's own")

    if ending == "consumer raises":
        with pytest.raises(RuntimeError, match="the application's own"):
            run()
    elif ending == "source fails":
        with pytest.raises(SourceError, match="gone"):
            run()
    else:
        run()
    assert open_files() == before
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("rtparse")]


@linux
def test_a_source_is_closed_at_its_own_end(parser: Parser, clips: list[Path]) -> None:
    def names() -> list[str]:
        return [name for name in open_files() if name == str(clips[1].resolve())]

    with parser.stream([clips[1], pictures(10**9)]) as stream:
        assert names()
        for _ in stream:
            if 0 in stream.ended:
                break
        assert not names()


def test_opening_fails_as_a_whole(parser: Parser, clips: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    before = open_files() if Path("/proc/self/fd").is_dir() else []
    for bad, expected in ((tmp_path / "none.mp4", UsageError), (text, SourceError)):
        with pytest.raises(expected, match=bad.name):
            parser.stream([*clips, bad])
    assert (open_files() if before else []) == before


def test_several_parsers_stream_side_by_side(tiny_onnx: Path, clips: list[Path]) -> None:
    with Parser(tiny_onnx) as one, Parser(tiny_onnx) as other:
        first, second = one.stream(clips), other.stream(clips[::-1])
        counts = [0, 0]
        for number, stream in ((0, first), (1, second), (0, first), (1, second)):
            next(stream)
            counts[number] += 1
        counts[0] += sum(1 for _ in first)
        counts[1] += sum(1 for _ in second)
    assert counts == [42, 42]
