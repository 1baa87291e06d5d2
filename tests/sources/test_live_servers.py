"""Servers that misbehave: silent, garbage, wrong timestamps, pictures sent twice; and one that is too slow to watch."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from rtparse._cv import cv2
from rtparse.engines.fake import FakeEngine
from rtparse.errors import SourceError
from rtparse.parser import Parser
from rtparse.sources.live import LiveOptions, LiveSource
from rtparse.sources.live_open import open_live

FPS = 50


@contextmanager
def accepting(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that hands each connection to `answer`, in a thread."""
    stop = threading.Event()

    def accept() -> None:
        kept = []
        while not stop.is_set():
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                continue
            kept.append(connection)
            answer(connection)
        for connection in kept:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@contextmanager
def streaming(answer: Callable[[BaseHTTPRequestHandler], None], kind: str = "video/mp2t") -> Iterator[str]:
    """An HTTP server without an end: `answer` writes the body and hangs up by returning."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with suppress(OSError):  # the client has gone
                answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def transport_stream(pictures: list[bytes], first_second: float) -> list[bytes]:
    """Each coded picture as a piece of an MPEG transport stream whose times begin at `first_second`."""
    file = io.BytesIO()
    pieces = []
    with av.open(file, "w", format="mpegts", options={"muxdelay": "0", "muxpreload": "0", "flush_packets": "1"}) as out:
        stream = out.add_stream("libx264", rate=FPS, width=256, height=128)
        for index, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream = stream
            packet.time_base = Fraction(1, 90_000)
            packet.pts = packet.dts = round((first_second + index / FPS) * 90_000)
            packet.is_keyframe = index % 10 == 0
            at = file.tell()
            out.mux(packet)
            pieces.append(file.getvalue()[at:])
    return pieces


def paced(handler: BaseHTTPRequestHandler, pieces: list[bytes]) -> None:
    for piece in pieces:
        handler.wfile.write(piece)
        time.sleep(1 / FPS)


def test_a_silent_server_is_asked_again_and_closing_ends_it_at_once(open_descriptors: Callable[[], int]) -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    asked: list[socket.socket] = []
    with accepting(asked.append) as port:
        source = open_live(f"rtsp://127.0.0.1:{port}/clip", LiveOptions(open_timeout=0.4))
        viewer = threading.Thread(target=lambda: list(source))
        viewer.start()
        deadline = time.monotonic() + 10
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(asked) >= 3
        assert "no answer for 0.4 s" in source.statistics().error
        began = time.monotonic()
        source.close()
        viewer.join(5)
        assert time.monotonic() - began < 1
        assert source.statistics().state == "closed"
    asked.clear()
    deadline = time.monotonic() + 3
    while (threading.active_count() > threads or open_descriptors() > descriptors) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == threads
    assert open_descriptors() == descriptors


def test_a_server_that_falls_silent_in_the_middle(coded: Callable[..., list[bytes]]) -> None:
    """The first connection stalls, the second goes on."""
    pieces = transport_stream(coded(1, 100), 5)
    connections: list[int] = []
    silent = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        connections.append(len(connections))
        if len(connections) == 1:
            paced(handler, pieces[:20])
            silent.wait(10)
        else:
            paced(handler, pieces[20:])

    with streaming(answer) as url, open_live(url, LiveOptions(frame_timeout=0.7)) as source:
        try:
            indices = []
            for frame in source:
                indices.append(frame.index)
                if source.statistics().reconnects and len(indices) > 40:
                    break
        finally:
            silent.set()
    assert source.statistics().reconnects == 1


def test_garbage_is_no_picture_and_kills_nothing() -> None:
    noise = np.random.default_rng(0)

    def babble(connection: socket.socket) -> None:
        with suppress(OSError):  # the client has gone
            connection.sendall(noise.bytes(30_000))
            connection.shutdown(socket.SHUT_RDWR)

    with accepting(babble) as port:
        for scheme in ("rtsp", "http", "rtmp"):
            options = LiveOptions(open_timeout=1, attempts=2)
            source = open_live(f"{scheme}://127.0.0.1:{port}/clip", options)
            with pytest.raises(SourceError, match="no frame in 2 attempts") as caught:
                list(source)
            assert "\n" not in str(caught.value)
            assert source.statistics().frames_in == 0


def test_garbage_in_the_middle_is_skipped(
    coded: Callable[..., list[bytes]], number_of: Callable[[np.ndarray], int]
) -> None:
    pieces = transport_stream(coded(1, 75), 5)
    for index in (22, 23, 24):
        pieces[index] = os.urandom(len(pieces[index]))
    with streaming(lambda handler: paced(handler, pieces)) as url, open_live(url, LiveOptions(keep_all=True)) as source:
        numbers = []
        for frame in source:
            try:
                numbers.append(number_of(frame.image))
            except AssertionError:
                continue  # a picture that shows the damage
            if numbers[-1] >= 60:
                break
    assert numbers[-1] == 60
    assert 50 in numbers
    assert source.statistics().reconnects == 0


def test_wrong_timestamps_are_repaired(coded: Callable[..., list[bytes]]) -> None:
    """The times jump on by hours, and back; the frames' times follow the clock."""
    pictures = coded(1, 90)
    pieces = [
        *transport_stream(pictures[:30], 1000),
        *transport_stream(pictures[30:60], 9000),
        *transport_stream(pictures[60:], 10),
    ]
    with streaming(lambda handler: paced(handler, pieces)) as url, open_live(url, LiveOptions(keep_all=True)) as source:
        times = []
        for frame in source:
            assert frame.arrived is not None
            times.append((frame.pts, frame.arrived))
            if len(times) == 80:
                break
    pts, arrived = np.array(times).T
    assert (np.diff(pts) > 0).all()
    assert np.abs((pts - pts[0]) - (arrived - arrived[0])).max() < 1.0
    assert 2 <= source.statistics().repaired_times <= 6


def test_pictures_sent_twice_are_parsed_once(
    coded: Callable[..., list[bytes]], number_of: Callable[[np.ndarray], int]
) -> None:
    """As servers do that keep the last seconds for whoever connects: the second connection gets pictures again."""
    pieces = transport_stream(coded(1, 100), 5)
    connections: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        connections.append(len(connections))
        paced(handler, pieces[:40] if len(connections) == 1 else pieces[20:])

    engine = FakeEngine(np.zeros((8, 16), np.uint8))
    with streaming(answer) as url, Parser(engine, size=(128, 256)) as parser:
        source = open_live(url, LiveOptions(keep_all=True))
        numbers = []
        with parser.stream(source) as stream:
            for parsing in stream:
                numbers.append(number_of(parsing.frame.image))
                if numbers[-1] >= 80:
                    break
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
    assert 15 <= source.statistics().duplicates <= 20
    assert source.statistics().reconnects == 1


def test_motion_jpeg_over_http(numbered: Callable[[int], np.ndarray], number_of: Callable[[np.ndarray], int]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        for number in range(200):
            jpeg = cv2.imencode(".jpg", numbered(number))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            handler.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(0.02)

    with (
        streaming(answer, "multipart/x-mixed-replace; boundary=frame") as url,
        open_live(url, LiveOptions(keep_all=True)) as source,
    ):
        numbers, times = [], []
        for frame in source:
            numbers.append(number_of(frame.image))
            times.append(frame.pts)
            if len(numbers) == 60:
                break
    assert (np.diff(numbers) == 1).all()
    seconds = times[-1] - times[20]
    assert 39 * 0.02 <= seconds < 2.5  # what the clock says, not 25 a second
    assert source.statistics().repaired_times == 0


def test_hls_is_read_from_its_newest_piece_on(
    coded: Callable[..., list[bytes]], number_of: Callable[[np.ndarray], int]
) -> None:
    """A piece holds a second; three are named at a time, and each second another one comes."""
    pieces = transport_stream(coded(1, 8 * FPS), 5)
    began = time.monotonic()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(".ts"):
            first = FPS * int(handler.path[1:-3])
            handler.wfile.write(b"".join(pieces[first : first + FPS]))
            return
        oldest = int(time.monotonic() - began)
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{oldest}"]
        lines += [f"#EXTINF:1.0,\n{number}.ts" for number in range(oldest, oldest + 3)]
        handler.wfile.write("\n".join([*lines, ""]).encode())

    with (
        streaming(answer, "application/vnd.apple.mpegurl") as url,
        open_live(url, LiveOptions(keep_all=True)) as source,
    ):
        numbers, times = [], []
        for frame in source:
            numbers.append(number_of(frame.image))
            times.append(frame.pts)
            if len(numbers) == 2 * FPS + 10:
                break
    assert numbers[0] >= 2 * FPS
    assert (np.diff(numbers) == 1).all()
    assert np.diff(times) == pytest.approx(1 / FPS, abs=1e-4)
    statistics = source.statistics()
    assert (statistics.reconnects, statistics.repaired_times, statistics.duplicates) == (0, 0, 0)


def test_a_dead_source_holds_no_other(serve_rtsp: Callable[..., object]) -> None:
    live = open_live(serve_rtsp(1).url)  # type: ignore[attr-defined]
    with accepting(lambda connection: None) as port, Parser(FakeEngine(np.zeros((8, 16), np.uint8))) as parser:
        dead = open_live(f"rtsp://127.0.0.1:{port}/clip", LiveOptions(open_timeout=1))
        came: list[LiveSource] = []
        with parser.stream([dead, live]) as stream:
            for parsing in stream:
                came.append((dead, live)[parsing.frame.source])
                if len(came) == 40:
                    break
    assert set(came) == {live}
