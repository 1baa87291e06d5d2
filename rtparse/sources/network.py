"""Moving pictures that come as they happen, read by FFmpeg through PyAV: network streams and screens."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from threading import Lock
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.ffmpeg import reason, without_password
from rtparse.sources.picture import PictureReader
from rtparse.sources.video import video_stream

_NO_TIMES = ("mpjpeg", "mjpeg", "rawvideo", "h264", "hevc")
"""Formats without timestamps, for which FFmpeg counts 25 frames a second."""


class NetworkSource(Source):
    """The pictures of one connection, upright, as soon as each can be decoded.

    pts are the stream's own timestamps in seconds, NaN where it has none, neither shifted nor repaired: `LiveSource`
    does that. Corrupt packets are skipped and counted. The size of the pictures may change between two. Raises
    SourceError where there is no answer within `open_timeout` seconds, while iterating where nothing comes for
    `read_timeout` seconds or reading fails, and UsageError for a recording.

    `close` may come from another thread; the iteration then ends with the packet that is waited for.
    """

    def __init__(
        self,
        name: str,
        location: str,
        options: Mapping[str, str],
        *,
        format: str | None = None,  # noqa: A002 - as av.open calls it
        open_timeout: float = 10.0,
        read_timeout: float = 5.0,
    ) -> None:
        """options: of FFmpeg's protocol and demuxer; those that these do not know are ignored. format: of the input."""
        self._name = name
        self._read_timeout = read_timeout
        self._corrupt = 0
        self._closed = False
        self._lock = Lock()
        with _errors(name, open_timeout):
            self._container: InputContainer = av.open(
                location,
                "r",
                format=format,
                options=dict(options),
                metadata_errors="ignore",
                timeout=(open_timeout, read_timeout),
            )
        try:
            self._stream = video_stream(self._container, name)
            if location.startswith("http") and self._container.duration:
                seconds = self._container.duration / av.time_base
                raise UsageError(f"{name} is a recording of {seconds:.1f} s", "use rtparse video")
        except BaseException:
            self._container.close()
            raise
        # Decoding frames in parallel holds one back per thread, which a live picture cannot wait for.
        self._stream.thread_type = "SLICE"
        timed = self._container.format.name not in _NO_TIMES
        self._tick = (self._stream.time_base or Fraction(1, 90_000)) if timed else None
        self.info = SourceInfo(
            name,
            width=self._stream.width or None,
            height=self._stream.height or None,
            fps=self._stream.average_rate or self._stream.guessed_rate if timed else None,
            time_base=self._tick,
            live=True,
        )

    @property
    def damage(self) -> tuple[str, ...]:
        return (f"{self._corrupt} corrupt packet{'s' * (self._corrupt > 1)}",) if self._corrupt else ()

    def __iter__(self) -> Iterator[Frame]:
        size = None
        index = 0
        packets = self._container.demux()
        while (packet := self._next(packets)) is not None:
            arrived = time.monotonic()
            for picture in self._decode(packet):
                if size != (picture.width, picture.height):
                    size = picture.width, picture.height
                    read_picture = PictureReader(self._stream.codec_context.sample_aspect_ratio or Fraction(1))
                pts = math.nan if picture.pts is None or self._tick is None else float(picture.pts * self._tick)
                yield Frame(read_picture(picture), pts, index, self._name, arrived=arrived)
                index += 1

    def close(self) -> None:
        self._closed = True
        # While FFmpeg is at work in another thread, closing would pull the stream from under it: that thread then does.
        if self._lock.acquire(blocking=False):
            try:
                self._container.close()
            finally:
                self._lock.release()

    def _next(self, packets: Iterator[Packet[Any]]) -> Packet[Any] | None:
        # All streams are read, so that a stream whose packets are of no use is seen to be closed.
        with self._lock, _errors(self._name, self._read_timeout):
            packet = None if self._closed else next(packets, None)
        if self._closed:
            self.close()
            return None
        return packet

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        if packet.stream_index != self._stream.index:
            return []
        with self._lock:
            if self._closed:
                return []
            corrupt = packet.is_corrupt
            pictures: list[VideoFrame] = []
            try:
                pictures = self._stream.decode(packet)
            except av.error.EOFError:
                pass  # the decoder was emptied at the end of the stream
            except av.error.FFmpegError:
                corrupt = True
            self._corrupt += corrupt
        return pictures


@contextmanager
def _errors(name: str, timeout: float) -> Iterator[None]:
    """FFmpeg's errors become SourceError. Some protocols tell a timeout as broken data: so the clock is asked."""
    began = time.monotonic()
    try:
        yield
    except av.error.FFmpegError as error:
        silent = time.monotonic() - began >= timeout
        why = f"no answer for {timeout:g} s" if silent else reason(error)
        raise SourceError(f"{name} cannot be read ({why})") from None


def open_network(
    url: str, transport: str = "tcp", *, open_timeout: float = 10.0, read_timeout: float = 5.0
) -> NetworkSource:
    """A stream by its URL, with as little held back as its protocol allows. Raises as NetworkSource does."""
    scheme = url.partition("://")[0].lower()
    microseconds = str(round(read_timeout * 1_000_000))
    # Probing ends once the codec is known, not when the rate is.
    options = {"analyzeduration": "1000000", "fpsprobesize": "0"}
    if scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video", "timeout": microseconds}
    else:
        options |= {"rw_timeout": microseconds}
    if scheme in ("http", "https"):
        options |= {"live_start_index": "-1"}  # of HLS: the newest piece
    if scheme.startswith("rtmp"):
        options |= {"rtmp_live": "live"}
    return NetworkSource(without_password(url), url, options, open_timeout=open_timeout, read_timeout=read_timeout)
