"""Parsers whose engine is on a GPU: several, beside others in the process, in threads, forked, and where it is lost."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from forking import in_a_fork
from halving_plans import on_cpu
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.device.driver import bindings, call
from rtparse.engines.flavours import FLAVOURS
from rtparse.engines.tensorrt import TensorRTEngine
from rtparse.errors import DeviceError, UsageError
from rtparse.preprocess import Letterbox

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import WritePlan


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return [np.random.default_rng(seed).integers(0, 255, (128, 192, 3), np.uint8) for seed in range(count)]


def test_a_parser_parses_with_it(write: WritePlan) -> None:
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    with Parser(write()) as parser, Parser(on_cpu()) as other:
        labels = parser(image).labels
        np.testing.assert_array_equal(labels, other(image).labels)
        assert len(np.unique(labels)) > 3


@pytest.mark.parametrize("options", [{}, {"smooth": 0.5}, {"roi": (41, 20, 101, 90)}], ids=str)
def test_a_parsers_streams_take_the_way_of_the_gpu(
    write: WritePlan, standin: StandIn, way: None, options: dict[str, Any]
) -> None:
    images = pictures(6)
    with Parser(write(), **options) as parser, Parser(on_cpu(), **options) as other:
        for given in (images, [iter(images[:3]), iter(images[3:])]):
            sources = [images] if given is images else [images[:3], images[3:]]
            expected = [[each.labels for each in other.stream(source)] for source in sources]
            for parsing in parser.stream(given):
                labels = expected[parsing.frame.source][parsing.frame.index]
                assert (parsing.labels == labels).mean() > 0.9995
        assert standin.counts()["calls:cuEventSynchronize"]


def test_a_stream_that_follows_takes_the_way_over_the_host(write: WritePlan) -> None:
    images = pictures(6)
    with Parser(write(), follow=True) as parser, Parser(on_cpu(), follow=True) as other:
        for one, expected in zip(parser.stream(images), other.stream(images), strict=True):
            np.testing.assert_array_equal(one.labels, expected.labels)


@pytest.fixture
def two_gpus(way: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_DEVICES", "2")


@pytest.fixture
def opened(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The GPU and the depth of each way of frames that was opened."""
    opened, way = [], TensorRTEngine.frame_path

    def counted(engine: TensorRTEngine, *given: Any, **options: Any) -> Any:
        opened.append((engine._device.index, options["depth"]))
        return way(engine, *given, **options)

    monkeypatch.setattr(TensorRTEngine, "frame_path", counted)
    return opened


@pytest.mark.parametrize("latency", [False, True])
def test_gpus_share_the_sources_of_a_stream(write: WritePlan, opened: list[tuple[int, int]], latency: bool) -> None:
    images = pictures(9)
    sources = [images[:4], images[4:6], images[6:]]
    with Parser(write(), device=[1, 0], smooth=0.5, latency=latency) as parser, Parser(on_cpu(), smooth=0.5) as other:
        expected = [[each.labels for each in other.stream(source)] for source in sources]
        seen: list[list[int]] = [[], [], []]
        for parsing in parser.stream([iter(source) for source in sources]):
            number, index = parsing.frame.source, parsing.frame.index
            assert (parsing.labels == expected[number][index]).mean() > 0.9995
            seen[number].append(index)
        assert seen == [[0, 1, 2, 3], [0, 1], [0, 1, 2]]
        assert sorted(opened) == [(0, 1 if latency else 3), (1, 1 if latency else 3)]
        np.testing.assert_array_equal(parser(images[0]).labels, other(images[0]).labels)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (2, r"there is no GPU 2; choose from: 0 \(stand-in\), 1 \(stand-in\)"),
        (-1, "there is no GPU -1"),
        ([0, 2], "there is no GPU 2"),  # the first is freed
        ([1, 1], "got GPUs 1, 1; name each once"),
    ],
)
def test_a_gpu_that_is_not_there_is_wrong_use(write: WritePlan, two_gpus: None, device: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Parser(write(), device=device)


def test_the_command_takes_gpus_and_tells_which_there_are(
    write: WritePlan,
    two_gpus: None,
    tmp_path: Path,
    rtparse: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        for index in range(3):
            cv2.imwrite(str(folder / f"{index}.png"), np.random.default_rng(index).integers(0, 255, (128, 192, 3)))
    engine = ("--engine", write())
    assert rtparse("video", *folders, *engine, "--device", "0,5") == 2
    assert "there is no GPU 5; choose from: 0 (stand-in), 1 (stand-in)" in capsys.readouterr().err
    assert rtparse("video", *folders, *engine, "--device", "first") == 2
    assert "'first' is no list of GPUs" in capsys.readouterr().err
    assert rtparse("video", *folders, *engine, "--device", "0,1", "--latency") == 0
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["first.parsed.mp4", "second.parsed.mp4"]


@pytest.mark.parametrize(
    ("options", "depth"),
    [
        ([], 1),
        (["--keep-all"], 3),  # nothing may be dropped: the most frames a second
        (["--keep-all", "--latency"], 1),
    ],
    ids=str,
)
def test_live_takes_a_gpu_and_the_lowest_latency(
    write: WritePlan,
    opened: list[tuple[int, int]],
    tmp_path: Path,
    rtparse: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    depth: int,
) -> None:
    images = pictures(4)
    (tmp_path / "raw").write_bytes(b"".join(image.tobytes() for image in images))
    with (tmp_path / "raw").open() as raw:
        monkeypatch.setattr("sys.stdin", raw)
        live = ("live", "--stdin", "192x128:bgr24", "--engine", write(), "--jsonl", tmp_path / "told.jsonl")
        assert rtparse(*live, "--device", "1", *options) == 0
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert told
    if "--keep-all" in options:
        assert [line["index"] for line in told] == [0, 1, 2, 3]
    assert opened == [(1, depth)]


def test_two_parsers_and_several_threads_share_the_gpu(write: WritePlan, way: None, standin: StandIn) -> None:
    """Calls and streams of both at once; what one has is no business of the other, also when it is closed."""
    images = pictures(8)
    with Parser(on_cpu()) as other:
        expected = [other(image).labels for image in images]
    first, second = Parser(write()), Parser(write())

    def call(parser: Parser) -> None:
        for image, labels in zip(images, expected, strict=True):
            np.testing.assert_array_equal(parser(image).labels, labels)

    def stream(parser: Parser) -> None:
        for parsing, labels in zip(parser.stream(images), expected, strict=True):
            assert (parsing.labels == labels).mean() > 0.9995

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(use, parser) for use in (call, stream) for parser in (first, second) * 2]:
            done.result()
        going_on = pool.submit(stream, second)
        first.close()
        going_on.result()
        call(second)
    assert standin.counts()["live:context"] > 0
    second.close()
    assert standin.wrong() == {}


def test_another_user_of_the_context_keeps_what_it_has(write: WritePlan, way: None) -> None:
    """As torch uses it: the context is made current in a thread and stays so, with memory of its own in it."""
    driver, (image,) = bindings(), pictures(1)
    gpu = call("cuDeviceGet", 0)
    theirs = call("cuDevicePrimaryCtxRetain", gpu)
    call("cuCtxSetCurrent", theirs)
    memory = call("cuMemAlloc", 1000)
    call("cuMemcpyHtoD", memory, bytes(range(250)) * 4, 1000)
    with Parser(write()) as parser, Parser(on_cpu()) as other:
        expected = other(image).labels
        np.testing.assert_array_equal(parser(image).labels, expected)
        assert [(parsing.labels == expected).mean() > 0.9995 for parsing in parser.stream([image])] == [True]
        assert int(call("cuCtxGetCurrent")) == int(theirs)
    assert int(call("cuCtxGetCurrent")) == int(theirs)
    back = bytearray(1000)
    (status,) = driver.cuMemcpyDtoH(back, memory, 1000)
    assert int(status) == 0
    assert back == bytes(range(250)) * 4
    call("cuMemFree", memory)
    call("cuCtxSetCurrent", driver.CUcontext())
    call("cuDevicePrimaryCtxRelease", gpu)


def within(seconds: float, work: Callable[[], None]) -> BaseException | None:
    """What the work raised. It does not hang."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive()
    return raised[0] if raised else None


CODES = (719, 700, 214, 46, 999)
"""A launch failed, an illegal address, memory that broke, a device that is gone, and what nobody knows."""


@pytest.mark.parametrize("use", ["smooth", "latency", "call"])
def test_a_gpu_that_is_lost_at_any_call_is_told(
    write: WritePlan, way: None, standin: StandIn, capfd: pytest.CaptureFixture[str], use: str
) -> None:
    images = pictures(6)

    def parse(parser: Parser, parsed: list[object]) -> None:
        parsed.extend(map(parser, images) if use == "call" else parser.stream(images))

    def opened() -> Parser:
        parser = Parser(write(), latency=use == "latency", smooth=0.5 * (use == "smooth"))
        parse(parser, [])  # from here on nothing is made anew, but what a stream has of its own
        standin.zero()
        return parser

    with opened() as parser:
        parse(parser, [])
        calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    calls.pop("cuDevicePrimaryCtxRelease", None)  # PyCUDA says so on stderr, and there is nothing that could be done
    standin.zero()
    told = 0
    for number, (name, count) in enumerate(sorted(calls.items())):
        parser, parsed = opened(), []
        standin.fail(name, max(1, count // 2), code=CODES[number % len(CODES)], lost=True)
        error = within(60, partial(parse, parser, parsed))
        assert within(60, parser.close) is None, name
        if error is None:
            assert len(parsed) == len(images), name  # it was lost when all was said
        else:
            assert isinstance(error, DeviceError), (name, error)
            assert "the GPU stopped working" in str(error), (name, error)
            told += 1
        del parser, error, parsed
        gc.collect()
        standin.heal()
        assert "live:context" not in standin.counts(), name
        standin.zero()  # the context's end freed what was left
    assert told > (3 if use == "call" else 8)
    assert "Traceback" not in capfd.readouterr().err


def test_the_command_tells_of_a_lost_gpu_and_leaves_nothing(
    write: WritePlan,
    way: None,
    standin: StandIn,
    tmp_path: Path,
    rtparse: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index, image in enumerate(pictures(4)):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    standin.fail("cuMemcpyDtoHAsync", 2, code=719, lost=True)
    assert rtparse("video", folder, "--engine", write()) == 1
    said = capsys.readouterr().err
    assert "error: the GPU stopped working" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "model.plan", "model.plan.json"]
    gc.collect()
    standin.heal()
    standin.zero()


def test_a_forked_parser_says_so_whatever_its_threads_were_doing(write: WritePlan, way: None) -> None:
    (image,) = pictures(1)
    given = (image, Letterbox.fit((128, 192), (64, 96)))
    with Parser(write()) as parser:
        engine = parser.engine
        assert isinstance(engine, TensorRTEngine)
        expected = parser(image).labels
        path = engine.frame_path((64, 96), depth=1)
        pending = path.submit([given])
        held = [engine._lock, engine._runner._lock, path._lock, engine._device.lock]  # type: ignore[union-attr]
        with ExitStack() as locks, ThreadPoolExecutor(1) as other:
            other.submit(lambda: [locks.enter_context(lock) for lock in held]).result()
            uses = {
                "call": lambda: parser(image),
                "stream": lambda: list(parser.stream([image])),
                "submit": lambda: path.submit([given]),
                "take": pending.result,
                "open": lambda: engine.frame_path((64, 96), depth=1),
            }
            for name, use in uses.items():
                told, status = in_a_fork(use)
                assert "forked after CUDA had started" in told, name
                assert "spawn" in told
                assert status == 0, name
            assert in_a_fork(lambda: [path.close(), parser.close(), gc.collect()]) == ("", 0)
            other.submit(locks.pop_all().close).result()
        np.testing.assert_array_equal(pending.result()[0].labels, expected)
        np.testing.assert_array_equal(parser(image).labels, expected)


def labels_of(plan: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """In another process."""
    from halving_plans import FLAVOUR

    FLAVOURS[FLAVOUR.name] = FLAVOUR
    with Parser(plan) as parser:
        return parser(image).labels


def test_a_process_that_is_spawned_has_a_parser_of_its_own(write: WritePlan) -> None:
    images, plan = pictures(2), write()
    with Parser(plan) as parser, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        expected = [parser(image).labels for image in images]
        for found, labels in zip(pool.map(labels_of, [plan] * 2, images), expected, strict=True):
            np.testing.assert_array_equal(found, labels)
