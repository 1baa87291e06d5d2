"""A video file or URL, read by FFmpeg through PyAV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rtparse.errors import SourceError
from rtparse.frame import Frame
from rtparse.sources.base import Source, SourceInfo
from rtparse.sources.ffmpeg import open_input, reason
from rtparse.sources.picture import PictureReader
from rtparse.sources.timeline import Timeline

_LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp")
_USUAL_FPS = Fraction(25)


class VideoSource(Source):
    """The pictures of a file (Path) or URL (str), upright (see `PictureReader`), with their exact times.

    Times count from the stream's start (see `Timeline` for streams whose times are broken). Corrupt packets are skipped
    and counted in `damage`, as are pictures that show the corruption, and an ending that comes too early. The
    constructor decodes the first picture, so that a file that holds none raises SourceError there.

    threads: of the decoder; 0 is one for each core of the machine.

    `close` may come from another thread: the iteration ends with the picture that is being decoded, or, when a network
    source is silent, after `ffmpeg.NETWORK_TIMEOUT` seconds at most.
    """

    def __init__(self, location: Path | str, *, threads: int = 0) -> None:
        self._name = str(location)
        self._live = isinstance(location, str) and location.partition("://")[0].lower() in _LIVE_SCHEMES
        self._corrupt_packets = 0
        self._corrupt_pictures = 0
        self._ending = ""
        self._closed = False
        self._lock = Lock()
        if isinstance(location, Path):
            if location.is_file() and location.stat().st_size == 0:
                raise SourceError(f"{self._name} is empty (0 bytes)", "expected a video file")
            # Absolute, because FFmpeg takes "a:b.mp4" for a protocol named a.
            location = str(location.absolute())
        self._container = open_input(location, self._name)
        try:
            stream = video_stream(self._container, self._name)
            # Decoding frames in parallel holds one back per thread, which a live picture cannot wait for.
            stream.thread_type = "SLICE" if self._live else "AUTO"
            stream.codec_context.thread_count = threads
            self._read_picture = PictureReader(stream.sample_aspect_ratio or Fraction(1))
            self._tick = stream.time_base or Fraction(1, 90_000)
            self._fps = stream.average_rate or stream.guessed_rate
            self._frame_ticks = round(1 / (self._fps or _USUAL_FPS) / self._tick)
            self._timeline = Timeline(None if self._live else stream.start_time, self._frame_ticks)
            self._stated = _Stated.by(self._container, stream)
            self._stream = stream
            self._decoded = self._decode(stream)
            self._first = next(self._decoded, None)
            if self._first is None:
                why = f" ({'; '.join(self.damage)})" if self.damage else ""
                raise SourceError(f"{self._name} holds no picture that can be decoded{why}")
            self.info = self._describe(self._first)
        except BaseException:
            self._container.close()
            raise

    @property
    def damage(self) -> tuple[str, ...]:
        lines = []
        if count := self._corrupt_packets:
            lines.append(f"{count} corrupt packet{'s' * (count > 1)}")
        if count := self._corrupt_pictures:
            lines.append(f"{count} picture{'s' * (count > 1)} decoded with visible errors")
        if count := self._timeline.repaired:
            lines.append(f"{count} timestamp{'s' * (count > 1)} out of order")
        if self._ending:
            lines.append(self._ending)
        return tuple(lines)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        end = 0
        while (decoded := self._next()) is not None:
            ticks = self._timeline.place(decoded.pts)
            yield self._frame(decoded, float(ticks * self._tick), index)
            index += 1
            end = ticks + (decoded.duration or self._frame_ticks)
        if not self._closed:
            self._judge_ending(index, end * self._tick)

    def close(self) -> None:
        self._closed = True
        # While FFmpeg is at work in another thread, closing would pull the file from under it: that thread then does.
        if self._lock.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._lock.release()

    def _free(self) -> None:
        self._container.close()
        # The generator holds this source: letting go of it frees the decoder now, not at a later collection.
        self._decoded = iter(())
        self._first = None

    def _frame(self, decoded: VideoFrame, pts: float, index: int) -> Frame:
        return Frame(self._read_picture(decoded), pts, index, self._name)

    def _next(self) -> VideoFrame | None:
        frame = None
        with self._lock:
            if not self._closed:
                frame, self._first = self._first, None
                frame = frame or next(self._decoded, None)
        if self._closed:
            self.close()
            return None
        return frame

    def _decode(self, stream: VideoStream) -> Iterator[VideoFrame]:
        for packet in self._packets(stream):
            corrupt = packet is not None and packet.is_corrupt
            frames: list[VideoFrame] = []
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                corrupt = True
            self._corrupt_packets += corrupt
            for frame in frames:
                self._corrupt_pictures += frame.is_corrupt
                yield frame

    def _packets(self, stream: VideoStream) -> Iterator[av.Packet[VideoStream] | None]:
        try:
            yield from self._container.demux(stream)  # the last one is empty: the decoder gives out what it holds back
        except av.error.FFmpegError as error:
            self._ending = f"reading stopped: {reason(error)}"
            yield None  # as above

    def _describe(self, first: VideoFrame) -> SourceInfo:
        height, width = self._read_picture(first).shape[:2]
        duration = self._stated.duration
        count = self._stated.frames or (round(duration * self._fps) if duration and self._fps else None)
        return SourceInfo(
            self._name,
            width=width,
            height=height,
            fps=self._fps,
            time_base=self._tick,
            frame_count=count,
            duration=None if duration is None else float(duration),
            live=self._live,
            audio=not self._live and any(stream.codec_context for stream in self._container.streams.audio),
        )

    def _judge_ending(self, count: int, end: Fraction) -> None:
        """Whether the file promised more than it held. Lost pictures alone are no sign: edited files skip some."""
        stated = self._stated
        if self._ending or self._live or not stated.exact or stated.duration is None:
            return
        frame = self._frame_ticks * self._tick
        if stated.frames:
            if count < stated.frames and end < stated.duration - max(frame * Fraction(3, 2), Fraction(1, 10)):
                self._ending = f"the file ends early: {count} of {stated.frames} pictures"
        elif end < stated.duration - max(5 * frame, Fraction(1, 2)):
            self._ending = f"the file ends early: at {float(end):.1f} s of {float(stated.duration):.1f} s"


@dataclass(frozen=True)
class _Stated:
    """What the file says of its picture stream: frames (0: not said), duration in seconds, whether that is its own."""

    frames: int
    duration: Fraction | None
    exact: bool

    @classmethod
    def by(cls, container: InputContainer, stream: VideoStream) -> _Stated:
        if stream.duration is not None and stream.time_base is not None:
            return cls(stream.frames, stream.duration * stream.time_base, True)
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):  # Matroska
            hours, minutes, seconds = (Fraction(part) for part in tag.groups())
            return cls(stream.frames, hours * 3600 + minutes * 60 + seconds, True)
        if container.duration is not None:
            return cls(stream.frames, Fraction(container.duration, av.time_base), len(container.streams) == 1)
        return cls(stream.frames, None, False)


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The stream whose pictures are the video: no cover picture. Raises SourceError where there is none."""
    if container.format.name == "tty":  # FFmpeg plays text files as terminal art
        raise SourceError(f"{name} is a text file", "expected a video file")
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        what = "only sound" if container.streams.audio else "no pictures"
        raise SourceError(f"{name} has no video stream ({what})", "expected a video file")
    best = container.streams.best("video")
    stream = next((s for s in streams if s is best), streams[0])
    if stream.codec_context is None:
        raise SourceError(f"{name} is coded in a way that this FFmpeg cannot decode", "convert it to H.264 first")
    return stream
