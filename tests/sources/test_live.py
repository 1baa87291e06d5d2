"""The supervisor and its parts, on sources whose every frame the test decides."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.live import LiveOptions, LiveSource
from rtparse.sources.live_open import open_live
from rtparse.sources.live_statistics import Meter
from rtparse.sources.live_times import REMEMBERED_SECONDS, LiveClock, Seen

ALL = LiveOptions(keep_all=True)


def frame(value: int, pts: float) -> Frame:
    return Frame(np.full((16, 24, 3), value, np.uint8), pts)


class Given(Source):
    """Frames, then an end, an error, or silence until it is closed."""

    def __init__(self, frames: list[Frame], end: BaseException | str = "end") -> None:
        self.info = SourceInfo("given", live=True)
        self._frames = frames
        self._end = end
        self.closed = threading.Event()

    @property
    def damage(self) -> tuple[str, ...]:
        return ()

    def __iter__(self) -> Iterator[Frame]:
        yield from self._frames
        if isinstance(self._end, BaseException):
            raise self._end
        if self._end == "silence":
            self.closed.wait()

    def close(self) -> None:
        self.closed.set()


def opening(*sources: Source | BaseException) -> Callable[[], Source]:
    """Opens these one after the other."""
    left = iter(sources)

    def opener() -> Source:
        source = next(left)
        if isinstance(source, BaseException):
            raise source
        return source

    return opener


@pytest.mark.parametrize(
    "end",
    [
        "end",  # the frames end
        "silence",  # no frame for too long
        SourceError("broken"),  # reading fails
    ],
    ids=str,
)
def test_it_is_opened_anew(end: BaseException | str) -> None:
    first = Given([frame(1, 0.0), frame(2, 0.1)], end)
    opener = opening(first, SourceError("not yet"), Given([frame(3, 0.0), frame(4, 0.1)], "silence"))
    with LiveSource("given", opener, replace(ALL, frame_timeout=0.2)) as source:
        frames = []
        for each in source:
            frames.append(each)
            if len(frames) == 4:
                break
    assert [int(each.image[0, 0, 0]) for each in frames] == [1, 2, 3, 4]
    assert [each.index for each in frames] == [0, 1, 2, 3]
    assert (np.diff([each.pts for each in frames]) > 0).all()
    assert first.closed.is_set()
    assert source.statistics().reconnects == 1
    assert source.damage == ("connected anew 1 time",)
    assert (source.info.width, source.info.height) == (24, 16)


def test_attempts_can_be_limited() -> None:
    source = LiveSource("given", opening(*[SourceError("given is away")] * 9), LiveOptions(attempts=2))
    with pytest.raises(SourceError, match="given is away; no frame in 2 attempts"):
        list(source)
    assert source.statistics().state == "closed"


def test_wrong_use_is_not_tried_again() -> None:
    source = LiveSource("given", opening(UsageError("no such thing")))
    with pytest.raises(UsageError, match="no such thing"):
        list(source)
    assert source.statistics().error == "no such thing"


def test_what_cannot_be_had_twice_ends() -> None:
    source = LiveSource("given", opening(Given([frame(1, 0.0)])), ALL, reopen=False)
    assert len(list(source)) == 1
    with pytest.raises(SourceError, match="broken"):
        list(LiveSource("given", opening(Given([], SourceError("broken"))), reopen=False))


@pytest.mark.parametrize("keep_all", [False, True])
def test_the_newest_wins_unless_all_are_kept(keep_all: bool) -> None:
    given = Given([frame(value, value / 10) for value in range(50)], "silence")
    source = LiveSource("given", opening(given), LiveOptions(keep_all=keep_all))
    indices = []
    for each in source:
        indices.append(each.index)
        source.delivered(each)
        if each.index == 49:
            break
        time.sleep(0.01)
    statistics = source.statistics()
    assert statistics.frames_in == 50
    assert statistics.frames_out == len(indices)
    assert statistics.dropped == 50 - len(indices)
    assert indices == sorted(indices)
    if keep_all:
        assert indices == list(range(50))
    else:
        assert len(indices) < 10
    assert statistics.latency_p50 is not None
    assert 0 <= statistics.latency_p50 <= statistics.latency_p99 < 1  # type: ignore[operator]


def test_a_frame_that_is_delivered_twice_counts_once() -> None:
    """As when the output that told is dropped, and the next one that tells is some frames behind."""
    source = LiveSource("given", opening(Given([frame(value, value / 10) for value in range(6)])), ALL, reopen=False)
    frames = list(source)
    for each in (*frames[:4], *frames[1:3], frames[5]):
        source.delivered(each)
    statistics = source.statistics()
    assert (statistics.frames_in, statistics.frames_out, statistics.dropped) == (6, 5, 1)


def test_statistics_keep_a_minute_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, clock, picture = Meter("given"), [0.0], np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr("rtparse.sources.live_statistics.time.monotonic", lambda: clock[0])

    def live(minutes: range) -> int:
        for index in range(minutes.start * 300, minutes.stop * 300):  # 5 frames a second, each half a second old
            clock[0] = index / 5
            meter.arrived(clock[0] - 0.5, 0)
            meter.delivered(Frame(picture, index=index, arrived=clock[0] - 0.5))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_two, after_twenty = live(range(2)), live(range(2, 20))
    finally:
        tracemalloc.stop()
    assert after_twenty < after_two + 4096
    statistics = meter.read()
    assert statistics.frames_out == 6000
    assert (statistics.fps_in, statistics.fps_out) == pytest.approx((5, 5), abs=0.3)
    assert statistics.latency_p99 == pytest.approx(0.5)


@pytest.mark.parametrize("end", ["silence", SourceError("away")], ids=str)
def test_closing_from_another_thread_ends_it_at_once(end: BaseException | str) -> None:
    threads = threading.active_count()
    # Silent, or waiting to be tried again.
    source = LiveSource("given", opening(Given([], end), *[SourceError("away")] * 9))
    viewer = threading.Thread(target=lambda: list(source))
    viewer.start()
    time.sleep(0.2)
    began = time.monotonic()
    source.close()
    viewer.join(5)
    assert time.monotonic() - began < 0.3
    assert threading.active_count() == threads
    assert list(source) == []


def test_a_frame_that_comes_after_closing_brings_nothing_back() -> None:
    go_on = threading.Event()

    class Late(Given):
        def __iter__(self) -> Iterator[Frame]:
            yield self._frames[0]
            go_on.wait(10)
            yield self._frames[1]

    threads = threading.active_count()
    source = LiveSource("given", opening(Late([frame(1, 0.0), frame(2, 0.1)])))
    next(iter(source))
    source.close()
    go_on.set()
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    statistics = source.statistics()
    assert (statistics.state, statistics.frames_in, statistics.reconnects) == ("closed", 1, 0)


def test_many_reconnects_gain_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtparse.sources.live.FIRST_DELAY", 0.001)
    monkeypatch.setattr("rtparse.sources.live.LONGEST_DELAY", 0.001)
    before = threading.active_count()
    opener = opening(*[Given([frame(value, 0.0)]) for value in range(200)])
    with LiveSource("given", opener, ALL) as source:
        most = 0
        for each in source:
            most = max(most, threading.active_count())
            if each.index == 199:
                break
    assert most == before + 1
    assert threading.active_count() == before
    assert source.statistics().reconnects == 199


def test_a_clock_keeps_good_distances_and_repairs_bad_ones() -> None:
    clock = LiveClock(waits=False)
    assert clock.place(100.0, 5.0) == 0
    assert clock.place(100.04, 5.3) == pytest.approx(0.04, abs=1e-4)  # a late arrival is no change of time
    assert clock.place(7300.0, 5.4) == pytest.approx(0.4, abs=1e-4)  # jumps on
    assert clock.place(7300.1, 5.5) == pytest.approx(0.5, abs=1e-4)
    assert clock.place(3.0, 5.6) == pytest.approx(0.6, abs=1e-4)  # jumps back
    assert clock.place(3.0, 5.7) == pytest.approx(0.7, abs=1e-4)  # stands still
    assert clock.repaired == 3
    clock.restart()
    assert clock.place(0.0, 9.0) == pytest.approx(4.0, abs=1e-4)  # a new connection counts anew
    assert clock.place(math.nan, 9.5) == pytest.approx(4.5, abs=1e-4)  # none at all
    assert clock.place(1.0, 9.6) == pytest.approx(4.6, abs=1e-4)
    assert clock.repaired == 3


def test_a_clock_that_runs_wrong_is_held() -> None:
    clock = LiveClock(waits=False)
    times = [clock.place(10 * second, float(second)) for second in range(60)]  # too fast, but within a step's slack
    slow = LiveClock(waits=False)
    behind = [slow.place(0.1 * second, float(second)) for second in range(120)]
    assert (np.diff(times) > 0).all()
    assert (np.diff(behind) > 0).all()
    assert max(second - place for second, place in enumerate(behind)) < 31
    assert slow.repaired > 0


def test_a_frame_is_known_by_its_time_and_its_pixels() -> None:
    seen = Seen()
    one, other = frame(1, 0).image, frame(2, 0).image
    assert not seen.again(1.0, one, 0.0)
    assert seen.again(1.0, one, 1.0)
    assert not seen.again(1.0, other, 1.0)  # the same time after a reconnect, another picture
    assert not seen.again(2.0, one, 1.0)  # a still picture goes on
    assert not seen.again(math.nan, one, 1.0)
    assert not seen.again(math.nan, one, 1.0)
    assert not seen.again(1.0, one, 2.0 + REMEMBERED_SECONDS)  # a file that is played again


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("in.mp4", "cannot watch"),  # neither a URL nor a device
        (__file__, "rtparse video"),  # a file
        ("stdin:1280x720", "raw format"),  # without the pixels
        ("stdin:0x720:bgr24", "raw format"),  # an empty picture
        ("stdin:64x48:yuv420p", "raw format"),  # pixels that it does not read
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_live(spec)


@pytest.mark.parametrize("wrong", [{"size": (0, 5)}, {"fps": -1}, {"frame_timeout": 0}, {"attempts": 0}])
def test_numbers_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        LiveOptions(**wrong)  # type: ignore[arg-type]


def test_gstreamer_says_what_it_needs() -> None:
    from rtparse._cv import cv2

    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(UsageError, match="built without GStreamer"):
        open_live("videotestsrc ! videoconvert ! appsink")


def test_a_missing_camera_is_tried_until_the_limit() -> None:
    with pytest.raises(SourceError, match="camera 99"):
        list(open_live(99, LiveOptions(attempts=1)))
