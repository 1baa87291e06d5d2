"""H.264 that leaves at once, into whatever FFmpeg can write: what recordings and network outputs share."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from rtparse.sinks.encoder import LIVE_H264, PictureEncoder

TICK = Fraction(1, 90_000)
_USUAL_FPS = Fraction(30)
_MOST_FPS = 1000


class LiveVideo:
    """A video of pictures as they come, the first at time 0. Raises FFmpeg's errors and the operating system's.

    location: a path or URL. container, options: of FFmpeg's muxer and protocol. size_wh: of the pictures; others are
    letterboxed. fps: what the stream says of itself, and how long the last picture shows.
    """

    def __init__(
        self, location: str, container: str, options: dict[str, str], size_wh: tuple[int, int], fps: Fraction | None
    ) -> None:
        fps = fps if fps and fps <= _MOST_FPS else _USUAL_FPS
        self._gap = round(1 / fps / TICK)
        self._start: float | None = None
        self._last = -1
        self._container = av.open(location, "w", format=container, options=options)
        self._encoder = PictureEncoder(self._container, "libx264", LIVE_H264, size_wh, fps, TICK, live=True)

    @property
    def seconds(self) -> float:
        """When the last picture ends."""
        return float((self._last + self._gap) * TICK) if self._last >= 0 else 0.0

    def write(self, picture: NDArray[np.uint8], pts: float) -> None:
        """picture: (H, W, 3) uint8 BGR. pts: in seconds; one that does not grow is moved behind the last."""
        self._start = pts if self._start is None else self._start
        ticks = round(Fraction(pts - self._start) / TICK)
        self._last = ticks if ticks > self._last else self._last + self._gap
        self._encoder.write(picture, self._last)

    def finish(self) -> None:
        """Write all there is, and close."""
        try:
            self._encoder.finish(self._last + self._gap)
        except BaseException:
            self.abort()
            raise
        self._container.close()

    def abort(self) -> None:
        """Close, whatever becomes of it. Never raises."""
        with suppress(av.error.FFmpegError, OSError, ValueError):
            self._container.close()
