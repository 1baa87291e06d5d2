"""Those who watch live: how many there may be, what waits to be sent to each, and how they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool

_REASON_BYTES = 123


class Close(Exception):  # noqa: N818 - a message, not a defect
    """Ends a connection with a code of RFC 6455 and a reason in words, cut to what its frame holds."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason.encode()[:_REASON_BYTES].decode(errors="ignore")


class Seat:
    """What waits to be sent to one client: the newest message, or the end. `put` and `end` may come from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._message: bytes | None = None
        self._close: Close | None = None
        self._changed = asyncio.Event()

    def put(self, message: bytes) -> None:
        self._soon(partial(self._set, message))

    def end(self, code: int, reason: str) -> None:
        self._soon(partial(self._set_end, Close(code, reason)))

    async def get(self) -> bytes:
        """The newest message. Raises Close at the end."""
        while self._message is None:
            if self._close is not None:
                raise self._close
            self._changed.clear()
            await self._changed.wait()
        message, self._message = self._message, None
        return message

    def _soon(self, call: partial[None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the client with it
            self._loop.call_soon_threadsafe(call)

    def _set(self, message: bytes) -> None:
        self._message = message
        self._changed.set()

    def _set_end(self, close: Close) -> None:
        self._close = close
        self._changed.set()


class Places:
    """So many clients there may be at once. For one event loop."""

    def __init__(self, most: int, taken: Gauge) -> None:
        """taken: is told of each, by the label `kind`."""
        self._most = most
        self._gauge = taken
        self._taken = 0
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Wait at the end for what those who left have left behind."""
        yield
        await asyncio.gather(*self._leaving)

    @asynccontextmanager
    async def seated(self, socket: WebSocket, kind: str) -> AsyncIterator[ExitStack]:
        """Take a place for a client, who may come in. A Close raised in the block ends the connection.

        What is pushed on the stack is done in a thread after the block, and then the place is free. It may take as long
        as a picture is parsed, which the connection, and the end of the server, do not wait for.
        """
        await socket.accept()
        try:
            if self._taken >= self._most:
                raise Close(1013, f"{self._taken} clients watch already, try again later")
            self._taken += 1
            self._gauge.labels(kind).inc()
            left = ExitStack()
            try:
                yield left
            finally:
                leaving = asyncio.create_task(self._leave(kind, left))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
        except Close as close:
            with suppress(RuntimeError, WebSocketDisconnect):  # it has gone by itself
                await socket.close(close.code, close.reason)

    async def _leave(self, kind: str, left: ExitStack) -> None:
        try:
            await run_in_threadpool(left.close)
        finally:
            self._taken -= 1
            self._gauge.labels(kind).dec()
