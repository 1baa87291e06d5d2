"""The labels as a video whose values are the class ids, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.partial import PartialFile, write_errors

TICK = Fraction(1, 1000)
"""Matroska counts milliseconds."""
_USUAL_FPS = Fraction(30)
# Runs of one value cost next to nothing with Golomb-Rice codes; the range coder is larger and slower on labels.
_FFV1 = {"level": "3", "coder": "0", "context": "0", "slicecrc": "1"}


class LabelVideoSink:
    """Writes an .mkv of FFV1, lossless, 8-bit grey: the value of a pixel is its class id. Every frame is a keyframe.

    fps: what the file states; None is 30. Frames show at their pts, rounded to milliseconds. All must have one size:
    `write` raises SinkError for another, and where the file cannot be written.
    """

    def __init__(self, path: Path, fps: Fraction | None) -> None:
        self._fps = fps or _USUAL_FPS
        self._size_hw: tuple[int, int] | None = None
        self._last = -1
        self._stream: VideoStream | None = None
        self._file = PartialFile(path)
        self._container: OutputContainer | None = None

    def write(self, parsing: Parsing) -> None:
        labels = parsing.labels
        with self._errors():
            stream = self._stream or self._open(labels)
            if labels.shape != self._size_hw:
                height, width = labels.shape
                raise SinkError(
                    f"frame {parsing.frame.index} of {parsing.frame.name} has {width}x{height}, those before had "
                    f"{stream.width}x{stream.height}",
                    "cut the video where its size changes",
                )
            frame = av.VideoFrame.from_ndarray(labels, format="gray")
            self._last = max(self._last + 1, round(Fraction(parsing.frame.pts) / TICK))
            frame.pts, frame.time_base = self._last, TICK
            self._mux(stream.encode(frame))

    def finish(self) -> None:
        try:
            if self._stream is None or self._container is None:
                raise SinkError(f"no frames came for {self._file.path}, so it was not written")
            with self._errors():
                self._mux(self._stream.encode(None))
                self._container.close()
        except BaseException:
            self.abort()
            raise
        self._file.commit()

    def abort(self) -> None:
        if self._container is not None:
            with suppress(av.error.FFmpegError, OSError, ValueError):  # closing writes the index
                self._container.close()
        self._file.discard()

    def _open(self, labels: NDArray[np.uint8]) -> VideoStream:
        self._size_hw = height, width = labels.shape
        self._container = av.open(str(self._file.part), "w", format="matroska")
        stream = self._container.add_stream(
            "ffv1", rate=self._fps, options=_FFV1, width=width, height=height, pix_fmt="gray", time_base=TICK
        )
        self._stream = stream
        self._stream.codec_context.thread_count = 1
        return self._stream

    def _mux(self, packets: list[av.Packet[VideoStream]]) -> None:
        if self._container is not None:
            self._container.mux(packets)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with write_errors(self._file.path):
                yield
        except av.error.FFmpegError as error:
            raise SinkError(f"{self._file.path} cannot be written ({error.strerror})") from None
