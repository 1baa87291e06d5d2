"""Live views over WebSocket: of the server's sources, and of the visitor's own camera. See messages.py."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, suppress
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rtparse.errors import RtparseError
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.serve.feeds import Feed
from rtparse.serve.limits import Limits
from rtparse.serve.messages import decode_camera, encode
from rtparse.serve.metrics import Metrics
from rtparse.serve.sandbox import DecodeError, ImageDecoder
from rtparse.serve.seats import Close, Places, Seat
from rtparse.serve.views import LiveView

SEND_SECONDS = 20.0
"""How long a client may take for one message before it counts as gone."""

IDLE_SECONDS = 60.0
"""How long a visitor's camera may send nothing, and a viewer acknowledge nothing: others want their places."""

WINDOW = 2
"""Messages to a viewer that are not acknowledged yet. More would pile up in a slow network and come late; with one, a
round trip through a quick one would cost frames."""

_NEWS_SECONDS = 1.0


class Smoothing(StrEnum):
    """How much flicker is damped. A few steps, not any number, so that viewers of a source share the work."""

    OFF = "off"
    LIGHT = "light"
    STRONG = "strong"

    @property
    def strength(self) -> float:
        return {"off": 0.0, "light": 0.5, "strong": 0.8}[self.value]


class SourceStatus(BaseModel):
    """state: "idle" when nobody watches, "connecting", "live", or "waiting" to be opened again."""

    number: int
    name: str
    state: str


class Sources(BaseModel):
    """The server's own sources."""

    sources: list[SourceStatus]


def live_router(
    parser: Parser, feeds: Sequence[Feed], decoder: ImageDecoder, limits: Limits, metrics: Metrics
) -> APIRouter:
    """Its routes. `feeds` and `decoder`, which is for cameras alone, are the caller's to close."""
    places = Places(limits.clients, metrics.clients)
    router = APIRouter(lifespan=places.lifespan)

    @router.get("/api/limits", tags=["server"])
    async def taken() -> Limits:
        """What the server takes: bytes, pixels, seconds, and how many at once."""
        return limits

    @router.get("/api/sources", tags=["live"])
    async def sources() -> Sources:
        """The server's sources; watch one at the WebSocket /live/sources/NUMBER?smooth=off|light|strong."""
        listed = [SourceStatus(number=i, name=feed.name, state=feed.state) for i, feed in enumerate(feeds)]
        return Sources(sources=listed)

    @router.websocket("/live/sources/{number}")
    async def source(socket: WebSocket, number: Annotated[int, Path(ge=0)], smooth: Smoothing = Smoothing.OFF) -> None:
        async with places.seated(socket, "source") as left:
            if number >= len(feeds):
                raise Close(1008, f"there is no source {number}")
            await _watch(socket, left, feeds[number], smooth.strength)

    @router.websocket("/live/camera")
    async def camera(socket: WebSocket, smooth: Smoothing = Smoothing.OFF) -> None:
        async with places.seated(socket, "camera") as left:
            await _parse_camera(socket, left, parser.with_smooth(smooth.strength), decoder, limits, metrics)

    return router


async def _watch(socket: WebSocket, left: ExitStack, feed: Feed, smooth: float) -> None:
    seat = Seat()

    def shown(message: bytes | None) -> None:
        if message is None:
            seat.end(1011, f"{feed.name} cannot be shown")
        else:
            seat.put(message)

    async def tell_state() -> None:
        told = ""
        while True:
            if feed.state != told:
                told = feed.state
                await _sent(socket.send_json({"state": told}))
            await asyncio.sleep(_NEWS_SECONDS)

    window = asyncio.BoundedSemaphore(WINDOW)
    left.callback(feed.unwatch, smooth, shown)
    await run_in_threadpool(feed.watch, smooth, shown)
    await _first(_send(socket, seat, window), _acknowledged(socket, window), tell_state())


async def _parse_camera(
    socket: WebSocket, left: ExitStack, parser: Parser, decoder: ImageDecoder, limits: Limits, metrics: Metrics
) -> None:
    seat = Seat()

    def read(item: tuple[int, float, bytes, float]) -> Frame:
        index, pts, data, arrived = item
        return Frame(decoder(data), pts, index, name="camera", arrived=arrived)

    def shown(parsing: Parsing) -> None:
        metrics.count_live("camera", parsing)
        seat.put(encode(parsing, picture=False, dropped=view.dropped))

    def failed(error: RtparseError) -> None:
        if isinstance(error, DecodeError):
            seat.end(1007, f"got {error.got}, expected {error.expected}")
        else:
            seat.end(1011, "the model failed; the server's log says more")

    async def receive() -> None:
        last = float("-inf")
        for index in itertools.count():
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    event = await socket.receive()
            except TimeoutError:
                raise Close(1001, f"no picture for {IDLE_SECONDS:g} s") from None
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            message = event.get("bytes")
            if message is None:
                raise Close(1003, "got text, expected binary messages")
            if len(message) > limits.live_bytes:
                raise Close(1009, f"got {len(message)} bytes, expected at most {limits.live_bytes}")
            try:
                pts, data = decode_camera(message)
            except ValueError as error:
                raise Close(1007, str(error)) from None
            if pts <= last:
                raise Close(1007, f"got the time {pts} after {last}, expected a later one")
            last = pts
            view.give((index, pts, data, time.monotonic()))

    view: LiveView[tuple[int, float, bytes, float]] = LiveView(parser, "camera", read, shown, failed)
    left.callback(lambda: metrics.dropped.inc(view.dropped))
    left.callback(view.close)
    await _first(_send(socket, seat), receive())


async def _send(socket: WebSocket, seat: Seat, window: asyncio.Semaphore | None = None) -> None:
    while True:
        if window is not None:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await window.acquire()
            except TimeoutError:
                raise Close(1001, f"nothing was acknowledged for {IDLE_SECONDS:g} s") from None
        await _sent(socket.send_bytes(await seat.get()))


async def _sent(sending: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await sending
    except (TimeoutError, RuntimeError):  # RuntimeError: another task of the connection met its end already
        raise WebSocketDisconnect from None


async def _acknowledged(socket: WebSocket, window: asyncio.BoundedSemaphore) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        with suppress(ValueError):  # more than were sent
            window.release()


async def _first(*works: Coroutine[None, None, None]) -> None:
    """Until one of them ends; the others are cancelled. Raises what it raised, but for a client that has gone."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        error = task.exception()
        if error is not None and not isinstance(error, WebSocketDisconnect):
            raise error
