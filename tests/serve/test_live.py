"""Live views over real WebSockets: everybody sees what is new, whoever is slow beside them."""

from __future__ import annotations

import itertools
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from rtparse import CLASSES, Frame, Parser, UsageError
from rtparse.engines.fake import FakeEngine
from rtparse.errors import EngineError, SourceError
from rtparse.serve import feeds, live
from rtparse.serve.limits import Limits
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.live import LiveSource

HTTP = httpx.Client(verify=False, timeout=30)  # one for all: to make one takes longer than most requests

Serve = Callable[..., str]
ImageFile = Callable[..., bytes]

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")
BITS = 16
FRESH_SECONDS = 2.0
"""Older than this no picture may be on a busy machine; without dropping it would be, after the first seconds."""


class Numbers(Source):
    """Pictures (64, 96) that carry their number as blocks, 50 a second; remembers when each of them was made."""

    def __init__(self, *, still: bool = False) -> None:
        """still: they all look alike."""
        self.info = SourceInfo("numbers", live=True)
        self._still = still
        self.made: dict[int, float] = {}
        self.opened = 0
        self._closed = threading.Event()

    @property
    def damage(self) -> tuple[str, ...]:
        return ()

    def open(self) -> Numbers:
        self.opened += 1
        self._closed.clear()
        return self

    def feed(self, name: str = "numbers") -> tuple[str, Callable[[], LiveSource]]:
        return name, lambda: LiveSource(name, self.open)

    def __iter__(self) -> Iterator[Frame]:
        number = len(self.made)
        while not self._closed.wait(0.02):
            bits = np.array([number >> i & (not self._still) for i in range(BITS)], np.uint8) * 255
            image = np.repeat(np.repeat(bits.reshape(4, 4), 16, 0), 24, 1)
            self.made[number] = time.monotonic()
            yield Frame(np.repeat(image[:, :, None], 3, 2), number / 50, number)
            number += 1

    def close(self) -> None:
        self._closed.set()


@dataclass
class Message:
    header: dict[str, float]
    labels: NDArray[np.uint8]
    picture: bytes

    @classmethod
    def of(cls, data: bytes) -> Message:
        size = struct.unpack_from("<I", data)[0]
        header = json.loads(data[4 : 4 + size])
        end = 4 + size + header["labels"]
        labels = np.frombuffer(zlib.decompress(data[4 + size : end]), np.uint8)
        assert len(data) - end == header["picture"]
        return cls(header, labels.reshape(header["height"], header["width"]), data[end:])

    @property
    def number(self) -> int:
        """That the picture carries."""
        image = cv2.imdecode(np.frombuffer(self.picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.shape == self.labels.shape
        bits = image[8::16, 12::24].ravel() > 127
        return sum(1 << i for i in range(BITS) if bits[i])


def opened(url: str, path: str) -> ClientConnection:
    return connect(url.replace("http", "ws") + path, proxy=None, compression=None, max_size=None, open_timeout=30)


def watched(url: str, path: str, count: int, pause: float = 0.0) -> list[tuple[Message, float]]:
    """The first so many messages of a source, acknowledged after `pause`, and when each was there."""
    messages = []
    with opened(url, path) as socket:
        while len(messages) < count:
            data = socket.recv(30)
            if isinstance(data, bytes):
                messages.append((Message.of(data), time.monotonic()))
                time.sleep(pause)
                socket.send("next")
    return messages


def camera_message(pts: float, picture: bytes) -> bytes:
    return struct.pack("<d", pts) + picture


@dataclass
class Ending:
    """What a server said before it closed a connection, and how it did."""

    messages: list[str | bytes]
    code: int
    reason: str


def ending(socket: ClientConnection) -> Ending:
    messages = []
    try:
        while True:
            messages.append(socket.recv(30))
    except ConnectionClosed as closed:
        rcvd = closed.rcvd or Close(1006, "")
        return Ending(messages, rcvd.code, rcvd.reason)


def test_a_source_is_shown_with_its_labels(serve: Serve, answer: NDArray[np.uint8], parser: Parser) -> None:
    numbers = Numbers()
    url = serve([numbers.feed()])
    expected = parser(np.zeros((64, 96, 3), np.uint8)).labels
    messages = watched(url, "/live/sources/0", 5)
    for message, _ in messages:
        assert np.array_equal(message.labels, expected)
        assert 0 <= message.header["latency"] < FRESH_SECONDS
    assert [m.header["index"] for m, _ in messages] == sorted({m.header["index"] for m, _ in messages})


@pytest.mark.parametrize("clients", [2, 10])
def test_all_stay_live_with_slow_ones_among_them(serve: Serve, clients: int) -> None:
    numbers = Numbers()
    url = serve([numbers.feed()])
    with ExitStack() as stack, ThreadPoolExecutor(clients + 2) as pool:
        stack.enter_context(opened(url, "/live/sources/0"))  # takes nothing, for as long as the others watch
        slow = pool.submit(watched, url, "/live/sources/0", 6, 0.25)
        quick = [pool.submit(watched, url, "/live/sources/0", 40) for _ in range(clients)]
        for seen in (slow, *quick):
            numbers_seen = [message.number for message, _ in seen.result()]
            assert numbers_seen == sorted(set(numbers_seen))  # none twice, none older than the one before
            assert max(there - numbers.made[message.number] for message, there in seen.result()) < FRESH_SECONDS
        slow_numbers = [message.number for message, _ in slow.result()]
        assert slow_numbers[-1] - slow_numbers[0] > 3 * len(slow_numbers)  # it was shown few of many
    assert numbers.opened == 1  # read once for all


@pytest.mark.parametrize("clients", [2, 10])
def test_all_cameras_are_answered_with_slow_ones_among_them(
    serve: Serve, image_file: ImageFile, parser: Parser, clients: int
) -> None:
    url, picture = serve(), image_file("JPEG", (96, 64))
    expected = parser(np.zeros((64, 96, 3), np.uint8)).labels

    def send_and_read(rounds: int) -> None:
        with opened(url, "/live/camera") as socket:
            for i in range(rounds):
                socket.send(camera_message(i / 10, picture))
                message = Message.of(socket.recv(30))
                assert message.header["pts"] == i / 10
                assert message.header["index"] == i
                assert np.array_equal(message.labels, expected)
                assert message.picture == b""

    with ThreadPoolExecutor(clients) as pool, opened(url, "/live/camera") as slow, opened(url, "/live/camera"):
        for i in range(300):  # and reads no answer
            slow.send(camera_message(i, picture))
        for done in [pool.submit(send_and_read, 10) for _ in range(clients)]:
            done.result()


def test_of_a_camera_the_newest_picture_wins(serve: Serve, image_file: ImageFile) -> None:
    started, leave = threading.Event(), threading.Event()

    def slow(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        started.set()
        leave.wait(20)
        return np.zeros((len(batch), 20, 32, 48), np.float32)

    with Parser(FakeEngine(slow), size=(64, 96)) as parser:
        url = serve(parser=parser)
        with opened(url, "/live/camera") as socket:
            socket.send(camera_message(0, image_file()))
            assert started.wait(20)
            for i in range(1, 51):
                socket.send(camera_message(i, image_file()))
            time.sleep(0.3)  # so that they are there
            leave.set()
            seen = []
            while not seen or seen[-1].header["pts"] < 50:
                seen.append(Message.of(socket.recv(30)))
        assert len(seen) < 10
        assert seen[-1].header["dropped"] > 40


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["text"], 1003),
        ([b""], 1007),
        ([camera_message(0, b"")], 1007),
        ([camera_message(0, b"no picture")], 1007),
        ([camera_message(float("nan"), b"x")], 1007),
        ([camera_message(float("inf"), b"x")], 1007),
        ([camera_message(1, b"x" * 4096)], 1009),
        ([camera_message(0, b"P5 1 1 255 x")], 1007),  # an image, of a kind that is not taken
    ],
)
def test_a_camera_that_sends_something_else_is_closed(serve: Serve, messages: list[str | bytes], code: int) -> None:
    url = serve(limits=Limits(live_bytes=2000))
    with opened(url, "/live/camera") as socket:
        for message in messages:
            socket.send(message)
        assert ending(socket).code == code


def test_a_camera_whose_time_stands_still_is_closed(url: str, image_file: ImageFile) -> None:
    with opened(url, "/live/camera") as socket:
        socket.send(camera_message(1, image_file()))
        socket.send(camera_message(1, image_file()))
        assert ending(socket).code == 1007


def test_a_large_picture_of_a_camera_is_refused_by_its_header(serve: Serve, image_file: ImageFile) -> None:
    url = serve(limits=Limits(live_pixels=1000))
    with opened(url, "/live/camera") as socket:
        socket.send(camera_message(0, image_file("JPEG", (96, 64))))
        assert ending(socket).code == 1007


def test_a_broken_frame_of_the_protocol_ends_the_connection_alone(url: str, image_file: ImageFile) -> None:
    with opened(url, "/live/camera") as broken, opened(url, "/live/camera") as whole:
        broken.socket.sendall(b"\xff\xff\xff\xff\xff\xff\xff\xff")  # reserved bits, unknown opcode, not masked
        assert ending(broken).code == 1002
        whole.send(camera_message(0, image_file()))
        assert Message.of(whole.recv(30)).header["pts"] == 0


def test_no_more_clients_than_the_limit_says(serve: Serve) -> None:
    url = serve(limits=Limits(clients=2))
    with opened(url, "/live/camera"), opened(url, "/live/camera"), opened(url, "/live/camera") as third:
        assert ending(third).code == 1013
    codes = [1013]
    while codes[-1] == 1013 and len(codes) < 200:  # their places are free again, a moment later
        with opened(url, "/live/camera") as next_one, suppress(ConnectionClosed):
            next_one.send("text")
            codes.append(ending(next_one).code)
    assert codes[-1] == 1003


def test_a_source_that_is_not_there(url: str) -> None:
    with opened(url, "/live/sources/0") as socket:
        assert ending(socket).code == 1008


def test_a_source_that_fails_for_good_says_so_and_no_more(serve: Serve) -> None:
    def fail() -> Source:
        raise UsageError("there is no /srv/secret.mp4")

    url = serve([("broken", lambda: LiveSource("broken", fail))])
    with opened(url, "/live/sources/0") as socket:
        end = ending(socket)
    assert end.code == 1011
    assert "secret" not in f"{end.messages} {end.reason}"


def test_a_model_that_fails_ends_the_view_and_not_the_server(serve: Serve, image_file: ImageFile) -> None:
    def broken(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        raise ValueError("defect")

    with Parser(FakeEngine(broken), size=(64, 96)) as parser:
        url = serve([Numbers().feed()], parser=parser)
        with opened(url, "/live/camera") as socket:
            socket.send(camera_message(0, image_file()))
            assert ending(socket).code == 1011
        with opened(url, "/live/sources/0") as socket:
            assert ending(socket).code == 1011
        assert HTTP.get(f"{url}/healthz").status_code == 200


def test_smoothing_is_chosen_for_each_viewer(serve: Serve) -> None:
    """The engine sees hair, and a face every fourth time; a strong mean of a still picture is hair."""
    turns = itertools.count()

    def flickering(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = np.zeros((len(batch), 20, 32, 48), np.float32)
        logits[:, HAIR] = 1
        logits[:, FACE] = 1.5 if next(turns) % 4 == 0 else 0
        return logits

    def classes(path: str) -> set[int]:
        return {int(message.labels[30, 40]) for message, _ in watched(url, path, 24)[12:]}  # settled by then

    with Parser(FakeEngine(flickering), size=(64, 96)) as parser:
        url = serve([Numbers(still=True).feed()], parser=parser)
        assert classes("/live/sources/0") == classes("/live/sources/0?smooth=off") == {HAIR, FACE}
        assert classes("/live/sources/0?smooth=strong") == {HAIR}
        with pytest.raises(InvalidStatus):
            opened(url, "/live/sources/0?smooth=0.5")


def test_a_source_is_read_only_while_somebody_watches(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LINGER_SECONDS", 0.05)
    numbers = Numbers()
    url = serve([numbers.feed()])

    def state() -> str:
        return str(HTTP.get(f"{url}/api/sources").json()["sources"][0]["state"])

    assert state() == "idle"
    assert numbers.opened == 0
    for times in (1, 2):
        with opened(url, "/live/sources/0") as socket:
            told = [message for message in (socket.recv(30) for _ in range(3)) if isinstance(message, str)]
            assert json.loads(told[0])["state"] in ("idle", "connecting", "live")
            assert state() == "live"
        deadline = time.monotonic() + 20
        while state() != "idle" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert state() == "idle"
        assert numbers.opened == times


def test_a_source_that_gives_nothing_is_let_go_of_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LINGER_SECONDS", 0.05)
    tries: list[float] = []

    def away() -> Source:
        tries.append(time.monotonic())
        raise SourceError("it is away")

    url = serve([("away", lambda: LiveSource("away", away))])

    def state() -> str:
        return str(HTTP.get(f"{url}/api/sources").json()["sources"][0]["state"])

    with opened(url, "/live/sources/0"):
        deadline = time.monotonic() + 20
        while not tries and time.monotonic() < deadline:
            time.sleep(0.01)
    while state() != "idle" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state() == "idle"
    count = len(tries)
    time.sleep(1)
    assert len(tries) == count > 0


def test_a_view_that_fails_when_its_viewer_has_left_ends_no_other(answer: NDArray[np.uint8]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def first_fails(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if not entered.is_set():
            entered.set()
            leave.wait(20)
            raise EngineError("the first run failed")
        return np.zeros((len(batch), 20, 32, 48), np.float32)

    told: list[bytes | None] = []
    name, opener = Numbers().feed()
    with (
        Parser(FakeEngine(first_fails), size=(64, 96)) as parser,
        feeds.Feed(parser, name, opener) as feed,
        ThreadPoolExecutor(1) as pool,
    ):
        feed.watch(0.0, gone := (lambda message: None))
        assert entered.wait(20)
        leaving = pool.submit(feed.unwatch, 0.0, gone)  # which waits for the run
        while feed._lines:
            time.sleep(0.005)
        feed.watch(0.0, told.append)
        leave.set()
        leaving.result(20)
        deadline = time.monotonic() + 20
        while len(told) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(told) >= 3
    assert None not in told


def test_who_acknowledges_nothing_is_given_two_messages_and_a_while(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "IDLE_SECONDS", 0.3)
    url = serve([Numbers().feed()])
    with opened(url, "/live/sources/0") as socket:
        end = ending(socket)
    assert end.code == 1001
    assert len([message for message in end.messages if isinstance(message, bytes)]) == live.WINDOW


def test_a_camera_that_is_silent_gives_its_place_to_others(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "IDLE_SECONDS", 0.1)
    with opened(url, "/live/camera") as socket:
        assert ending(socket).code == 1001
