"""Live parsing of a real RTSP server that dies and comes back; everything is computed from the pixels that come out."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtparse.engines.fake import FakeEngine
from rtparse.parser import Parser
from rtparse.sources.live import LiveOptions
from rtparse.sources.live_open import open_live

RESTARTS = int(os.environ.get("RTPARSE_RESTARTS", "3"))
LENGTH = 1500  # of the clip, in pictures

_log = logging.getLogger(__name__)


@pytest.fixture
def parser() -> Parser:
    return Parser(FakeEngine(np.zeros((8, 16), np.uint8)), size=(128, 256))


def _settled(count: Callable[[], int], most: int) -> int:
    deadline = time.monotonic() + 2
    while count() > most and time.monotonic() < deadline:
        time.sleep(0.02)
    return count()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_picture_comes_once_and_fresh(
    parser: Parser, serve_rtsp: Callable[..., Any], number_of: Callable[..., int], transport: str
) -> None:
    server = serve_rtsp(1)
    source = open_live(server.url, LiveOptions(transport=transport))
    numbers, ages = [], []
    for parsing in parser.stream(source):
        numbers.append(number_of(parsing.frame.image))
        ages.append(server.age(numbers[-1]))
        source.delivered(parsing.frame)
        if len(numbers) == 50:
            break
    steps = np.diff(numbers)
    assert (steps > 0).all()
    assert (steps[-30:] == 1).mean() > 0.9
    assert np.median(ages) < 0.3
    statistics = source.statistics()
    assert statistics.frames_out == 50
    assert statistics.state == "closed"
    assert statistics.duplicates == 0


def test_a_server_that_dies_and_comes_back(
    parser: Parser, serve_rtsp: Callable[..., Any], number_of: Callable[..., int], open_descriptors: Callable[[], int]
) -> None:
    server = serve_rtsp(1)
    source = open_live(server.url, LiveOptions(frame_timeout=2.0))
    chance = random.Random(RESTARTS)
    shown: list[tuple[float, int, float]] = []  # when, the number counted on over the clip's length, age
    stream = parser.stream(source)
    came = threading.Event()

    def watch() -> None:
        for parsing in stream:
            number, now = number_of(parsing.frame.image), time.monotonic()
            last = shown[-1][1] if shown else 0
            # The number on the wire wraps; what comes is the nearest one in time.
            unwrapped = last + (number - last + LENGTH // 2) % LENGTH - LENGTH // 2
            shown.append((now, unwrapped, server.age(number)))
            source.delivered(parsing.frame)
            came.set()

    viewer = threading.Thread(target=watch)
    viewer.start()
    try:
        assert came.wait(10)
        threads, descriptors = threading.active_count(), open_descriptors()
        ages = []
        for _ in range(RESTARTS):
            time.sleep(chance.uniform(0.1, 1.2))
            server.kill()
            time.sleep(chance.uniform(0.2, 0.8))
            came.clear()
            server.start()
            started = time.monotonic()
            while source.statistics().state != "live" or shown[-1][0] < started:
                assert time.monotonic() - started < 10, "the stream did not come back"
                time.sleep(0.02)
            time.sleep(1)
            fresh = [age for when, _, age in shown if when > time.monotonic() - 0.5]
            assert fresh
            ages += fresh
        assert _settled(threading.active_count, threads) <= threads
        assert _settled(open_descriptors, descriptors) <= descriptors
        assert source.statistics().reconnects == RESTARTS
    finally:
        stream.close()
        viewer.join(10)
    numbers = [number for _, number, _ in shown]
    assert (np.diff(numbers) > 0).all(), "a frame was parsed twice"
    assert max(ages) < 1
    _log.info("age after %d restarts: p50 %.3f s, most %.3f s", RESTARTS, np.median(ages), max(ages))


def test_the_resolution_changes_in_mid_stream(
    parser: Parser, serve_rtsp: Callable[..., Any], number_of: Callable[..., int]
) -> None:
    server = serve_rtsp(1, 2)
    sizes, numbers = [], []
    source = open_live(server.url)
    with parser.stream(source) as stream:
        for parsing in stream:
            assert parsing.labels.shape == parsing.frame.size_hw
            sizes.append(parsing.frame.size_hw)
            numbers.append(number_of(parsing.frame.image))
            if len(numbers) > 25 and sizes[-1] != sizes[-5]:
                break
            assert len(numbers) < 200
    assert set(sizes) == {(128, 256), (256, 512)}
    assert (np.diff(numbers) > 0).all()
    assert source.statistics().reconnects == 0
    assert source.damage == ()
