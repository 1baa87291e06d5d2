"""What /metrics tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtparse.parsing import Parsing
from rtparse.serve.jobs import State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LATENCIES = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)


class Metrics:
    """The server's counters, in a registry of their own. Thread-safe. kind: camera, source or video."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.requests = Counter(
            "rtparse_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self.seconds = Histogram("rtparse_http_seconds", "Time to answer.", ["route"], registry=self._registry)
        self.frames = Counter("rtparse_frames", "Frames parsed.", ["kind"], registry=self._registry)
        self.dropped = Counter(
            "rtparse_dropped_frames",
            "Frames of visitors' cameras that a newer one replaced, counted when the view ends.",
            registry=self._registry,
        )
        self.latency = Histogram(
            "rtparse_latency_seconds",
            "From a frame's arrival to its labels.",
            ["kind"],
            buckets=_LATENCIES,
            registry=self._registry,
        )
        self.clients = Gauge("rtparse_clients", "Live views.", ["kind"], registry=self._registry)
        self._videos = Gauge("rtparse_videos", "Videos on the server.", ["state"], registry=self._registry)

    def count_live(self, kind: str, parsing: Parsing) -> None:
        """Count a frame that came live, and how late its labels are."""
        self.frames.labels(kind).inc()
        if parsing.frame.arrived is not None:
            self.latency.labels(kind).observe(time.monotonic() - parsing.frame.arrived)

    def watch_videos(self, counts: Callable[[], Mapping[State, int]]) -> None:
        """Ask `counts` for the number of videos in each state when the metrics are read."""
        for state in counts():
            self._videos.labels(state).set_function(lambda state=state: counts()[state])  # type: ignore[misc]

    def read(self) -> bytes:
        return generate_latest(self._registry)


class Measured:
    """ASGI middleware that counts requests by their route, never by their path, which strangers choose."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
