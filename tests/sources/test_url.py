"""A real server on this machine: whole, dying in the middle, and silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rtparse.errors import SourceError
from rtparse.sources import ffmpeg, open_source


@contextmanager
def serve(data: bytes, sent: int) -> Iterator[str]:
    """A server that promises all of `data` and hangs up after the first `sent` bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/clip.mp4":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:sent])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/clip.mp4"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_url_is_read_like_a_file(make_clip: Callable[..., Path]) -> None:
    data = make_clip("clip.mp4", frames=50).read_bytes()
    with serve(data, len(data)) as url, open_source(url) as source:
        assert [frame.pts for frame in source] == [index / 25 for index in range(50)]
        assert source.info.name == url
        assert source.info.frame_count == 50
    assert source.damage == ()


def test_a_server_that_dies_is_damage_not_an_end(make_clip: Callable[..., Path]) -> None:
    data = make_clip("clip.mp4", frames=100).read_bytes()
    with serve(data, len(data) // 2) as url, open_source(url) as source:
        frames = list(source)
    assert 30 < len(frames) < 60
    assert source.damage
    assert "\n" not in "".join(source.damage)


def test_what_is_not_there_is_one_line(make_clip: Callable[..., Path]) -> None:
    data = make_clip("clip.mp4").read_bytes()
    with serve(data, len(data)) as url, pytest.raises(SourceError, match="404") as caught:
        open_source(url.replace("clip", "other"))
    assert "\n" not in str(caught.value)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match="refused"):
            open_source(f"http://127.0.0.1:{taken.getsockname()[1]}/clip.mp4")


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "NETWORK_TIMEOUT", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(SourceError, match=r"no answer for 0\.5 s"):
            open_source(f"http://127.0.0.1:{silent.getsockname()[1]}/clip.mp4")


def test_an_unknown_protocol_is_one_line() -> None:
    with pytest.raises(SourceError, match=r"nonsense://x/y cannot be read"):
        open_source("nonsense://x/y")
