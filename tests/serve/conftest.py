"""A server of a fake engine, whose answer is known, and what visitors send."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("fastapi", reason='needs pip install "rtparse[serve]"')

import uvicorn
from fastapi import FastAPI
from PIL import Image

from rtparse import CLASSES, Parser
from rtparse.cli.serve import server_config
from rtparse.engines.fake import FakeEngine
from rtparse.serve.app import server_app
from rtparse.serve.limits import Limits

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")

Serve = Callable[..., str]
ImageFile = Callable[..., bytes]


@pytest.fixture(scope="session")
def answer() -> NDArray[np.uint8]:
    """What the fake engine sees in everything: hair above a face in the middle (32x48)."""
    picture = np.zeros((32, 48), np.uint8)
    picture[8:16, 16:32] = HAIR
    picture[16:24, 16:32] = FACE
    return picture


@pytest.fixture(scope="session")
def parser(answer: NDArray[np.uint8]) -> Iterator[Parser]:
    with Parser(FakeEngine(answer), size=(64, 96)) as made:
        yield made


@contextmanager
def _running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """An app on a real port of loopback, in a thread; its address without a slash at the end."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        server = uvicorn.Server(server_config(app, None, None, Limits().live_bytes))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server does not end"


@pytest.fixture(scope="session")
def running() -> Callable[..., AbstractContextManager[str]]:
    """`with running(app, port=0) as url`: any app."""
    return _running


@pytest.fixture(scope="module")  # other rooms' tests see that no thread is left
def url(parser: Parser) -> Iterator[str]:
    """A server with all defaults and without sources, for the tests that leave nothing behind; its address."""
    with _running(server_app(parser)) as address:
        yield address


@pytest.fixture
def serve(parser: Parser) -> Iterator[Serve]:
    """`serve(sources, parser=..., limits=..., token=..., hosts=...)`: the whole server, running; its address."""
    with ExitStack() as running:

        def start(sources: object = (), *, parser: Parser = parser, **options: object) -> str:
            return running.enter_context(_running(server_app(parser, sources, **options)))  # type: ignore[arg-type]

        yield start


@pytest.fixture(scope="session")
def image_file() -> ImageFile:
    """`image_file("PNG", (width, height), **options of Pillow)`: a whole image file with noise in it."""

    def make(kind: str = "JPEG", size_wh: tuple[int, int] = (96, 64), **options: object) -> bytes:
        noise = np.random.default_rng(0).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
        file = BytesIO()
        Image.fromarray(noise).save(file, kind, **options)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def walk() -> Path:
    """The example clip: a person walks, 640x360."""
    return Path(__file__).parents[2] / "examples/walk.mp4"
