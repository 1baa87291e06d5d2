"""What a live source counts and measures of itself."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal

import numpy as np

from rtparse.frame import Frame

RATE_SECONDS = 10.0
LATENCY_SECONDS = 60.0
"""How far back rates and latencies look. What is older than the longer one is forgotten."""

_MOST = 8192  # values kept of either, so that memory is bounded at any rate

State = Literal["connecting", "live", "waiting", "closed"]


@dataclass(frozen=True)
class LiveStatistics:
    """One look at a live source.

    state: "connecting" until the first frame, "live", "waiting" before it is tried again, "closed".
    frames_in: that came, without `duplicates`, which came a second time and were left out.
    frames_out: of which `LiveSource.delivered` was told; `dropped` are those that newer ones overtook.
    repaired_times: frames whose timestamp made no sense beside the clock.
    reconnects: how many times the frames came back after they had ended.
    fps_in, fps_out: frames a second, over the last RATE_SECONDS.
    latency_p50, _p95, _p99: seconds from the arrival of a frame until it was delivered, over the last LATENCY_SECONDS;
        None while nothing was.
    error: what ended the last connection, "" while frames come.
    """

    name: str
    state: State = "connecting"
    frames_in: int = 0
    frames_out: int = 0
    dropped: int = 0
    duplicates: int = 0
    repaired_times: int = 0
    reconnects: int = 0
    fps_in: float = 0.0
    fps_out: float = 0.0
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_p99: float | None = None
    error: str = ""


class Meter:
    """Keeps a live source's statistics. Thread-safe."""

    def __init__(self, name: str) -> None:
        self._now = LiveStatistics(name)
        self._lock = Lock()
        self._arrivals: deque[float] = deque(maxlen=_MOST)
        self._deliveries: deque[tuple[float, float]] = deque(maxlen=_MOST)  # when, and the latency
        self._delivered = -1  # the index of the newest

    @property
    def frames_in(self) -> int:
        return self._now.frames_in

    @property
    def reconnects(self) -> int:
        return self._now.reconnects

    def arrived(self, at: float, repaired_times: int) -> bool:
        """A frame came. Whether the source was not live before. One that comes after the end counts for nothing."""
        with self._lock:
            now = self._now
            if now.state == "closed":
                return False
            first = now.state != "live"
            back = first and now.frames_in > 0
            while self._arrivals and self._arrivals[0] < at - LATENCY_SECONDS:
                self._arrivals.popleft()
            self._arrivals.append(at)
            self._now = replace(
                now,
                state="live",
                frames_in=now.frames_in + 1,
                repaired_times=repaired_times,
                reconnects=now.reconnects + back,
                error="",
            )
        return first

    def duplicate(self) -> None:
        with self._lock:
            self._now = replace(self._now, duplicates=self._now.duplicates + 1)

    def turned(self, state: State, error: str | None = None) -> None:
        """error: None leaves the last one."""
        with self._lock:
            if self._now.state != "closed":
                self._now = replace(self._now, state=state, error=self._now.error if error is None else error)

    def delivered(self, frame: Frame) -> None:
        """The frames of a source are delivered in their order: those before, never delivered, have been dropped.

        One that comes again, from an output that was behind the one that told so far, counts no more.
        """
        now = time.monotonic()
        with self._lock:
            if frame.index <= self._delivered:
                return
            self._delivered = frame.index
            while self._deliveries and self._deliveries[0][0] < now - LATENCY_SECONDS:
                self._deliveries.popleft()
            self._deliveries.append((now, now - (frame.arrived or now)))
            out = self._now.frames_out + 1
            self._now = replace(self._now, frames_out=out, dropped=frame.index + 1 - out)

    def read(self) -> LiveStatistics:
        now = time.monotonic()
        with self._lock:
            recent = [latency for at, latency in self._deliveries if at > now - LATENCY_SECONDS]
            p50, p95, p99 = np.percentile(recent, (50, 95, 99)).tolist() if recent else (None, None, None)
            return replace(
                self._now,
                fps_in=_rate(list(self._arrivals), now),
                fps_out=_rate([at for at, _ in self._deliveries], now),
                latency_p50=p50,
                latency_p95=p95,
                latency_p99=p99,
            )


def _rate(times: list[float], now: float) -> float:
    """Events a second. Of a source that is younger than the window, its age counts."""
    if not times:
        return 0.0
    seconds = min(RATE_SECONDS, max(now - times[0], 1.0))
    return sum(at > now - seconds for at in times) / seconds
