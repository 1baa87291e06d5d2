"""A part of a video file that begins at a keyframe, read so that the parts together are exactly the whole."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from rtparse.errors import SourceError
from rtparse.frame import Frame
from rtparse.sources.ffmpeg import ffmpeg_errors
from rtparse.sources.video import VideoSource, video_stream

_END = 1 / 2
"""A last part shorter than this share of the others is joined to the one before."""


@dataclass(frozen=True)
class Span:
    """Pictures of a video, by their timestamps in ticks of the stream.

    seek: a keyframe where decoding begins, None for the start of the file. It is one before that of `first`: pictures
        of an open group, or of a stream without real keyframes, need what was before them.
    lead: the first picture that is given out; those before `first` only warm up what remembers the past.
    first: the first picture that belongs to the span.
    end: the first picture that belongs to the next one, None at the end of the file.
    frames: how many pictures the file announces for it.
    """

    seek: int | None
    lead: int
    first: int
    end: int | None
    frames: int


@dataclass(frozen=True)
class PacketIndex:
    """The pictures of a file without decoding them.

    start: the timestamp of time 0. tick: seconds of one. pts: all timestamps, sorted. keyframes: those of keyframes.
    """

    start: int
    tick: Fraction
    pts: tuple[int, ...]
    keyframes: tuple[int, ...]

    def spans(self, seconds: float, warm: int = 0) -> list[Span]:
        """Cut at the first keyframe after every `seconds` of video; an empty list where there is nothing to cut.

        warm: pictures before its first one that each span gives out as well.
        """
        step = seconds / self.tick
        cuts = [self.pts[0]]
        for keyframe in self.keyframes:
            if keyframe - cuts[-1] >= step and self.pts[-1] - keyframe >= step * _END:
                cuts.append(keyframe)
        if len(cuts) < 2:
            return []
        spans = []
        for first, end in zip(cuts, [*cuts[1:], None], strict=True):
            at = bisect.bisect_left(self.pts, first)
            last = len(self.pts) if end is None else bisect.bisect_left(self.pts, end)
            lead = self.pts[max(0, at - warm)]
            # The keyframe before the one that `lead` follows.
            seek = bisect.bisect_right(self.keyframes, lead) - 2
            spans.append(Span(self.keyframes[seek] if seek > 0 else None, lead, first, end, last - at))
        return spans


def stated_seconds(video: Path | BinaryIO) -> float | None:
    """How long a file says that it is, None where it does not. Raises SourceError for one that cannot be opened."""
    with ffmpeg_errors("the file"), _opened(video) as container:
        return None if container.duration is None else container.duration / av.time_base


def read_index(video: Path | BinaryIO) -> PacketIndex | None:
    """Read all packets of a file; None where it cannot be cut so that the parts are the whole for certain.

    That is where timestamps are missing, twice there or before the start, where packets are corrupt, and where the
    first picture is no keyframe. Raises SourceError for a file that cannot be opened.
    """
    with ffmpeg_errors("the file"), _opened(video) as container:
        stream = video_stream(container, "the file")
        if stream.time_base is None or stream.start_time is None:
            return None
        pts, keyframes = [], []
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the last one
            if packet.pts is None or packet.is_corrupt:
                return None
            if not packet.is_discard:
                pts.append(packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
        pts.sort()
        keyframes.sort()
        if not keyframes or keyframes[0] != pts[0] or pts[0] < stream.start_time or len(set(pts)) < len(pts):
            return None
        return PacketIndex(stream.start_time, stream.time_base, tuple(pts), tuple(keyframes))


class SegmentSource(VideoSource):
    """The pictures of a span, with the times that they have in the whole video; `index` counts from 0.

    first_pts: of the first picture that belongs to the span, in seconds; those before it are there to warm up.
    Raises SourceError, while iterating, where the file does not give the pictures that its packets promised.
    """

    def __init__(self, location: Path, span: Span, *, threads: int = 0) -> None:
        super().__init__(location, threads=threads)
        self._span = span
        self.first_pts = self._seconds(span.first)
        if span.seek is None:
            return
        try:
            with ffmpeg_errors(self._name):
                self._container.seek(span.seek, stream=self._stream)
        except BaseException:
            self._container.close()
            raise
        self._first = None
        self._decoded = self._decode(self._stream)

    def __iter__(self) -> Iterator[Frame]:
        span, index, begun, end = self._span, 0, False, 0
        while (decoded := self._next()) is not None:
            if decoded.pts is None:
                raise SourceError(f"{self._name} has pictures without a time, so it cannot be read in parts")
            if decoded.pts < span.lead:
                continue
            if span.end is not None and decoded.pts >= span.end:
                break
            if not begun and decoded.pts >= span.first:
                begun = True
                if decoded.pts != span.first:
                    raise SourceError(f"{self._name} cannot be read from the middle: the picture at {self.first_pts} s")
                # What was broken before belongs to the span before.
                self._corrupt_packets = self._corrupt_pictures = 0
            ticks = self._timeline.place(decoded.pts)
            yield Frame(self._read_picture(decoded), float(ticks * self._tick), index, self._name)
            index += 1
            end = ticks + (decoded.duration or self._frame_ticks)
        if self._closed:
            return
        if not begun:
            raise SourceError(f"{self._name} has no picture at {self.first_pts} s")
        if span.end is None:
            self._judge_ending(index, end * self._tick)

    def _seconds(self, ticks: int) -> float:
        return float((ticks - (self._stream.start_time or 0)) * self._tick)


def _opened(video: Path | BinaryIO) -> av.container.InputContainer:
    # Absolute, because FFmpeg takes "a:b.mp4" for a protocol named a.
    return av.open(str(video.absolute()) if isinstance(video, Path) else video, "r", metadata_errors="ignore")
