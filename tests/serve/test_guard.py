"""Who may ask: hosts, origins and the token, for requests and WebSockets; and the headers of every answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rtparse import Parser
from rtparse.engines.fake import FakeEngine
from rtparse.serve.app import server_app
from rtparse.serve.guard import SECURITY_HEADERS

HTTP = httpx.Client(verify=False, timeout=30)  # one for all: to make one takes longer than most requests

TOKEN = "correct horse battery".replace(" ", "-")
CAMERA = "/live/camera"


@pytest.fixture(scope="module")
def guarded(running: Callable[[FastAPI], AbstractContextManager[str]], parser: Parser) -> Iterator[str]:
    """A server with a token, which may also be called box.example; its address."""
    with running(server_app(parser, token=TOKEN, hosts=["Box.example"])) as address:
        yield address


def handshake(url: str, path: str = CAMERA, host: str | None = None, **headers: str) -> int:
    """The status with which the opening of a WebSocket is answered; 101 is open. host: of its Host header."""
    address = urlsplit(url)
    reached = socket.create_connection((address.hostname, address.port))
    target = f"ws://{host or address.netloc}{path}"
    try:
        with connect(target, sock=reached, additional_headers=headers, proxy=None, compression=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),  # an address cannot be another site's name
        ("[::1]:8000", 200),
        ("192.168.0.7", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("box.example:8000", 200),  # given
        ("evil.example", 421),  # a name that was pointed here: DNS rebinding
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("evil.example@localhost", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_host_must_be_a_name_of_the_server(guarded: str, host: str, status: int) -> None:
    answer = HTTP.get(f"{guarded}/healthz", headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["error"]["code"] == "host"
    if host and host.isascii() and "@" not in host and host != "[":
        authorization = f"Bearer {TOKEN}"
        assert handshake(guarded, host=host, Authorization=authorization) == (101 if status == 200 else 421)


@pytest.mark.parametrize(
    ("origin", "open_to"),
    [
        ("{url}", True),  # the page's own
        ("https://{netloc}", True),  # of a proxy with TLS before it
        ("http://127.0.0.1", False),  # another port is another site
        ("http://evil.example", False),
        ("https://evil.example:8000", False),
        ("null", False),  # a sandboxed frame, a file
        ("http://{netloc}.evil.example", False),
        ("ftp://{netloc}", False),
        ("", False),
    ],
)
def test_origin_must_be_the_server_itself(url: str, origin: str, open_to: bool) -> None:
    origin = origin.format(url=url, netloc=urlsplit(url).netloc)
    answer = HTTP.get(f"{url}/api/classes", headers={"Origin": origin})
    assert answer.status_code == (200 if open_to else 403)
    assert handshake(url, Origin=origin) == (101 if open_to else 403)
    assert handshake(url, "/live/sources/0", Origin=origin) == (101 if open_to else 403)


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),  # typed into the address bar
        ("cross-site", "navigate", 200),  # a link to the page
        ("cross-site", "no-cors", 403),  # an <img> of another site, which sends no Origin
        ("same-site", "cors", 403),  # another port of the same host
    ],
)
def test_other_sites_cannot_load_answers_into_their_pages(url: str, site: str, mode: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert HTTP.get(f"{url}/api/sources", headers=headers).status_code == status


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/page/index.html", "/api/classes", "/metrics", "/none", "/api/parse"]
)
def test_every_answer_has_the_safe_headers(url: str, path: str) -> None:
    headers = HTTP.get(f"{url}{path}").headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["content-security-policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_the_answer_to_a_defect_has_them_too(
    running: Callable[[FastAPI], AbstractContextManager[str]], image_file: Callable[..., bytes], url: str
) -> None:
    def broken(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        raise ValueError("defect")

    with Parser(FakeEngine(broken), size=(64, 96)) as parser, running(server_app(parser)) as broken_url:
        headers = {"Content-Type": "image/jpeg"}
        answer = HTTP.post(f"{broken_url}/api/parse", content=image_file(), headers=headers)
    assert answer.status_code == 500
    usual = HTTP.get(f"{url}/healthz").headers
    for name in SECURITY_HEADERS:
        assert answer.headers[name] == usual[name]


def test_without_a_token_nothing_but_the_page_is_shown(guarded: str) -> None:
    for path in (
        "/api/classes",
        "/api/sources",
        "/api/videos/" + "a" * 22,
        "/metrics",
        "/openapi.json",
        "/api/session",
    ):
        answer = HTTP.get(guarded + path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert HTTP.post(f"{guarded}/api/parse", content=b"x").status_code == 401
    assert handshake(guarded) == 401
    assert HTTP.get(f"{guarded}/healthz").status_code == 200
    page = HTTP.get(f"{guarded}/")
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (401, "text/html")
    assert HTTP.get(f"{guarded}/page/index.html").status_code == 200


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer \xff\xfe", 401),  # no ASCII
    ],
)
def test_the_token_as_a_header(guarded: str, authorization: str, status: int) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    assert HTTP.get(f"{guarded}/api/classes", headers=headers).status_code == status
    if authorization.isascii():
        assert handshake(guarded, Authorization=authorization) == (101 if status == 200 else 401)


def test_the_token_once_for_a_cookie(guarded: str) -> None:
    with httpx.Client(base_url=guarded) as client:
        assert client.get("/api/session").status_code == 401
        welcome = client.post("/api/session", json={"token": TOKEN})
        assert welcome.status_code == 204
        cookie = welcome.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert client.get("/api/session").status_code == 204
        assert client.get("/api/classes").status_code == 200
        assert client.get("/").status_code == 200
        session = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert handshake(guarded, Cookie=session) == 101
    assert handshake(guarded, Cookie=session, Origin="http://evil.example") == 403
    assert handshake(guarded, Cookie=session.replace("=", "=0")) == 401


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"token": "wrong-but-long-enough"}).encode(),
        b"",
        b"{",
        b"[" * 100_000,  # deeper than any parser goes
        json.dumps({"token": 5}).encode(),
        json.dumps([TOKEN]).encode(),
        json.dumps({"token": TOKEN + " " * 5000}).encode(),
        b"\xff\xfe",
        b'{"token": "\\ud800"}',  # half of a letter
    ],
)
def test_a_wrong_token_brings_no_cookie(guarded: str, body: bytes) -> None:
    answer = HTTP.post(f"{guarded}/api/session", content=body)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_server_without_a_token_has_everybody_in_session(url: str) -> None:
    assert HTTP.get(f"{url}/api/session").status_code == 204
