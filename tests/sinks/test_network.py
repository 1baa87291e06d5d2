"""Streams that leave the machine, received by FFmpeg on the loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import SinkError, UsageError
from rtparse.parsing import Parsing
from rtparse.sinks import NetworkSink

LISTENING = "0A"
"""A TCP socket's state in /proc/net/tcp."""

Numbered = Callable[..., Parsing]
ReadNumber = Callable[[NDArray[np.uint8]], int]


def view(parsing: Parsing) -> NDArray[np.uint8]:
    return parsing.frame.image


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receiver:
    """FFmpeg at the other end, in a thread: the numbers of the pictures, and when each came."""

    def __init__(self, url: str, options: dict[str, str], read_number: ReadNumber, most: int) -> None:
        self.came: dict[int, float] = {}
        self.ended: Exception | None = None
        self._most = most
        self._read_number = read_number
        self._open = (url, {"probesize": "20000", "analyzeduration": "100000", **options})
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        url, options = self._open
        try:
            with av.open(url, options=options) as container:
                stream = container.streams.video[0]
                stream.thread_type = "SLICE"  # gives each picture out as it comes
                for frame in container.decode(stream):
                    number = self._read_number(frame.to_ndarray(format="bgr24"))
                    assert number not in self.came
                    self.came[number] = time.monotonic()
                    if len(self.came) == self._most:
                        return
        except av.error.FFmpegError as error:  # the end of UDP is silence
            self.ended = error


# url, and what makes FFmpeg a server that takes such a stream in
KINDS = [
    ("udp://127.0.0.1:{}", {"timeout": "1000000"}),
    ("rtmp://127.0.0.1:{}/live/key", {"listen": "1"}),
    ("rtsp://127.0.0.1:{}/key", {"rtsp_flags": "listen", "listen_timeout": "10"}),
]


@pytest.fixture
def receive(read_number: ReadNumber) -> Iterator[Callable[..., tuple[str, Receiver]]]:
    """receive(template, options, most=1000) -> the URL, and FFmpeg, which listens there."""
    made: list[Receiver] = []

    def make(template: str, options: dict[str, str], most: int = 1000, port: int | None = None) -> tuple[str, Receiver]:
        udp = template.startswith("udp")
        port = port or free_port(socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        made.append(Receiver(template.format(port), options, read_number, most))
        wait_for_port(port, udp)
        return template.format(port), made[-1]

    yield make
    for each in made:
        each.thread.join(15)
        assert not each.thread.is_alive()


def wait_for_port(port: int, udp: bool) -> None:
    """Until somebody has it, as the kernel lists it: a visit would be a TCP server's only one, and a port that is tried
    is not free at that moment."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for kind in ("udp", "udp6") if udp else ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if int(local.rpartition(":")[2], 16) == port and (udp or state == LISTENING):
                    return
        time.sleep(0.01)
    raise AssertionError("nobody listens")


def send(sink: NetworkSink, numbered: Numbered, count: int, pause: float) -> list[float]:
    """When each picture was given to the sink."""
    given = []
    for number in range(count):
        given.append(time.monotonic())
        sink.write(numbered(number))
        time.sleep(pause)
    return given


@pytest.mark.parametrize(("template", "options"), KINDS)
def test_every_picture_arrives_in_time(
    numbered: Numbered, receive: Callable[..., tuple[str, Receiver]], template: str, options: dict[str, str]
) -> None:
    url, receiver = receive(template, options)
    sink = NetworkSink(url, view, Fraction(25))
    given = send(sink, numbered, 45, pause=0.03)
    sink.finish()
    receiver.thread.join(10)
    lost = 2 if template.startswith("udp") else 0  # the last ones wait for a next one that never comes
    assert list(receiver.came) == list(range(len(receiver.came)))
    assert len(receiver.came) >= 45 - lost
    # Of the later half: the first ones wait until the receiver knows what it gets.
    assert median(receiver.came[number] - given[number] for number in list(receiver.came)[22:]) < 0.3


def test_a_viewer_may_come_late(numbered: Numbered, receive: Callable[..., tuple[str, Receiver]]) -> None:
    port = free_port(socket.SOCK_DGRAM)
    sink = NetworkSink(f"udp://127.0.0.1:{port}", view)
    for number in range(20):
        sink.write(numbered(number))  # nobody is there
    _, receiver = receive(f"udp://127.0.0.1:{port}", {"timeout": "1000000"}, most=5, port=port)
    for number in range(20, 220):
        sink.write(numbered(number))
        if not receiver.thread.is_alive():
            break
        time.sleep(0.01)
    sink.finish()
    assert len(receiver.came) == 5
    assert min(receiver.came) >= 20


@pytest.mark.parametrize("template", ["rtmp://u:secret@127.0.0.1:{}/live/key", "rtsp://u:secret@127.0.0.1:{}/key"])
def test_without_a_server_it_is_one_line_and_no_secret(numbered: Numbered, template: str) -> None:
    sink = NetworkSink(template.format(free_port()), view)
    with pytest.raises(SinkError, match=r"the stream to rt[ms]p://127\.0\.0\.1:\d+ broke off") as caught:
        sink.write(numbered(0))
    sink.abort()
    assert "secret" not in str(caught.value)
    assert "key" not in str(caught.value)


@pytest.mark.parametrize(("template", "options"), KINDS[1:])
def test_a_server_that_goes_away_is_an_error(
    numbered: Numbered, receive: Callable[..., tuple[str, Receiver]], template: str, options: dict[str, str]
) -> None:
    url, receiver = receive(template, options, most=5)
    sink = NetworkSink(url, view)
    with pytest.raises(SinkError, match="broke off"):
        send(sink, numbered, 500, pause=0.005)
    sink.abort()
    assert len(receiver.came) == 5


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",  # a scheme that takes no stream
        "udp://",  # no host
        "out.mp4",  # no URL
        "rtmp://[/x",  # half an IPv6 address
    ],
)
def test_other_urls_are_wrong_use(url: str) -> None:
    with pytest.raises(UsageError, match="rtmp://, rtmps://, rtsp://, rtsps://, udp://"):
        NetworkSink(url, view)
