"""The server as a whole: its figures, its files, and that nothing of it stays."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from struct import pack

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from rtparse import Parser
from rtparse.engines.fake import FakeEngine
from rtparse.serve.app import server_app
from rtparse.serve.feeds import feed_source
from rtparse.serve.limits import Limits

HTTP = httpx.Client(verify=False, timeout=30)  # one for all: to make one takes longer than most requests

Serve = Callable[..., str]
ImageFile = Callable[..., bytes]
Running = Callable[[FastAPI], AbstractContextManager[str]]


def samples(url: str) -> dict[tuple[str, ...], float]:
    """What /metrics says: names and the values of labels, in the order of the labels' names."""
    text = HTTP.get(f"{url}/metrics").text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_was_done(serve: Serve, image_file: ImageFile, walk: Path) -> None:
    url = serve([feed_source(str(walk))])
    image = image_file()
    HTTP.post(f"{url}/api/parse", content=image, headers={"Content-Type": "image/jpeg"})
    HTTP.post(f"{url}/api/parse", content=b"", headers={"Content-Type": "image/jpeg"})
    HTTP.get(f"{url}/{'x' * 50}")
    with connect(url.replace("http", "ws") + "/live/camera", proxy=None) as socket:
        socket.send(pack("<d", 0) + image)
        socket.recv(30)
        during = samples(url)
    assert during["rtparse_clients", "camera"] == 1
    assert during["rtparse_frames_total", "camera"] == 1
    assert during["rtparse_latency_seconds_count", "camera"] == 1
    deadline = time.monotonic() + 20
    while samples(url)["rtparse_clients", "camera"] and time.monotonic() < deadline:
        time.sleep(0.02)
    after = samples(url)
    assert after["rtparse_clients", "camera"] == 0
    assert after["rtparse_http_requests_total", "POST", "/api/parse", "200"] == 1
    assert after["rtparse_http_requests_total", "POST", "/api/parse", "422"] == 1
    assert after["rtparse_http_requests_total", "GET", "none", "404"] == 1  # strangers choose no label
    assert after["rtparse_videos", "running"] == 0
    assert after["process_resident_memory_bytes",] > 0
    assert not any("x" * 50 in part for name in after for part in name)


def test_nothing_of_a_server_stays(
    running: Running, parser: Parser, image_file: ImageFile, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads, children, files = _threads(), _children(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(2):
        with ExitStack() as clients, running(server_app(parser, [feed_source(str(walk))])) as url:
            for kind, data in (("parse", image_file()), ("videos", walk.read_bytes())):
                media = {"Content-Type": "application/octet-stream"}
                assert HTTP.post(f"{url}/api/{kind}", content=data, headers=media).is_success
            # They are still there when the server ends, and so is the video's work.
            camera, viewer = (
                clients.enter_context(connect(url.replace("http", "ws") + path, proxy=None, max_size=None))
                for path in ("/live/camera", "/live/sources/0")
            )
            camera.send(pack("<d", 0) + image_file())
            camera.recv(30)
            while not isinstance(viewer.recv(30), bytes):
                pass
            assert list(tmp_path.glob("*/*"))
    assert list(tmp_path.iterdir()) == []
    assert _threads() <= threads
    assert _children() <= children
    assert len(os.listdir("/proc/self/fd")) <= files + 2  # noqa: PTH208


def test_a_server_ends_in_peace_though_a_picture_takes_longer_than_its_grace(
    running: Running,
    image_file: ImageFile,
    walk: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rtparse.cli.serve.GRACE_SECONDS", 1)
    entered = threading.Semaphore(0)

    def slow(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        entered.release()
        time.sleep(1.5)
        return np.zeros((len(batch), 20, 32, 48), np.float32)

    threads = _threads()
    with Parser(FakeEngine(slow), size=(64, 96)) as parser, ExitStack() as clients:
        with running(server_app(parser, [feed_source(str(walk))])) as url:
            logging.getLogger("uvicorn").addHandler(caplog.handler)
            for path in ("/live/camera", "/live/sources/0"):
                socket = clients.enter_context(connect(url.replace("http", "ws") + path, proxy=None))
                socket.send(pack("<d", 0) + image_file() if "camera" in path else "next")
                assert entered.acquire(timeout=30)
        assert _threads() <= threads  # so the engine is not in use when it is closed
    assert not [record for record in caplog.records if record.exc_info]


def test_clients_that_come_and_go_leave_nothing(
    serve: Serve,
    image_file: ImageFile,
    walk: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RTPARSE_SOAK_SECONDS=1800 goes on for so long; `-rP` shows what came of it."""
    monkeypatch.setattr("rtparse.serve.feeds.LINGER_SECONDS", 0.2)
    # Those who left still hold their places for a moment.
    url, image = serve([feed_source(str(walk))], limits=Limits(clients=100)), image_file()
    logging.getLogger("uvicorn").addHandler(caplog.handler)
    chance = random.Random(0)

    def visit(number: int) -> None:
        path = ("/live/camera", "/live/sources/0", "/live/sources/0?smooth=strong")[number % 3]
        with connect(url.replace("http", "ws") + path, proxy=None, max_size=None) as socket:
            for i in range(chance.randrange(4)):
                socket.send(pack("<d", i) + image if number % 3 == 0 else "next")
                socket.recv(60)
            if chance.random() < 0.3:
                socket.socket.close()  # without a word

    def settled() -> tuple[int, int]:
        """Threads and descriptors, when all who left are gone."""
        deadline = time.monotonic() + 30
        while any(samples(url)["rtparse_clients", kind] for kind in ("camera", "source")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with httpx.Client(base_url=url) as client:
            while client.get("/api/sources").json()["sources"][0]["state"] != "idle":
                assert time.monotonic() < deadline
                time.sleep(0.05)
        return len(_threads()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(12)))
        before, memory = settled(), _memory()
        end, visits = time.monotonic() + float(os.environ.get("RTPARSE_SOAK_SECONDS", "1")), 0
        while time.monotonic() < end or not visits:
            list(pool.map(visit, range(24)))
            visits += 24
        after = settled()
    grown = _memory() - memory
    print(f"{visits} visits: threads and descriptors {before} before, {after} after; grown by {grown / 2**20:.1f} MiB")
    assert not [record for record in caplog.records if record.exc_info]
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 8  # of connections that are being closed
    assert grown < 100 * 2**20


def test_the_page_is_served_without_looking_elsewhere(url: str) -> None:
    assert HTTP.get(f"{url}/").headers["content-type"].startswith("text/html")
    assert HTTP.get(f"{url}/page/index.html").status_code == 200
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd", "/page/"):
        assert HTTP.get(url + path).status_code == 404, path


def test_sources_of_one_name_are_told_apart(serve: Serve) -> None:
    specs = ["rtsp://10.0.0.7/front", "rtsp://10.0.0.7/back", "rtsp://10.0.0.8/", "rtsp://10.0.0.7/garden"]
    sources = HTTP.get(f"{serve([feed_source(spec) for spec in specs])}/api/sources").json()["sources"]
    assert [each["name"] for each in sources] == ["10.0.0.7", "10.0.0.7 (2)", "10.0.0.8", "10.0.0.7 (3)"]


def test_two_servers_of_one_model_do_not_meet(serve: Serve, image_file: ImageFile) -> None:
    for url in (serve(), serve()):
        answer = HTTP.post(f"{url}/api/parse", content=image_file(), headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 200


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("rtparse")}


def _memory() -> int:
    """Bytes that this process, which holds the server, has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _children() -> set[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}
