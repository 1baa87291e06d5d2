"""The view of every parsing as a video file, with the sound of the input."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from rtparse.errors import RtparseError, SinkError, UsageError
from rtparse.parsing import Parsing
from rtparse.sinks.audio import AudioTrack
from rtparse.sinks.encoder import PictureEncoder, video_errors
from rtparse.sinks.partial import PartialFile
from rtparse.sources.base import SourceInfo

_LOG = logging.getLogger("rtparse")
_FINE_TICK = Fraction(1, 90_000)
_FINEST_TICK = Fraction(1, 10_000_000)
_LARGEST_NUMERATOR = 1_000_000  # of a tick; FFmpeg's muxers refuse those of damaged files, of nine digits
_USUAL_FPS = Fraction(30)
_MOST_FPS = 1000
# Without B-frames a fifth larger and a tenth faster; and MP4, which adds up durations in decoding order, would misstate
# the length of a video whose rate varies.
_H264 = {"crf": "20", "preset": "veryfast", "bf": "0"}
_VP9 = {"crf": "32", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
_PRORES_4444 = {"profile": "4444", "vendor": "apl0"}


@dataclass(frozen=True)
class VideoFormat:
    """How a kind of file is written, in FFmpeg's names; `copied` are the audio codecs that its players take as is."""

    container: str
    codec: str
    options: dict[str, str]
    copied: frozenset[str]
    audio_encoder: str
    pix_fmt: str = "yuv420p"


_MP4 = VideoFormat("mp4", "libx264", _H264, frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}), "aac")
VIDEO_FORMATS: dict[str, VideoFormat] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": VideoFormat("mov", "libx264", _H264, frozenset({"aac", "ac3", "alac", "mp3", "pcm_s16le"}), "aac"),
    ".mkv": VideoFormat("matroska", "libx264", _H264, _MP4.copied | {"dts", "pcm_s16le", "vorbis"}, "aac"),
    ".webm": VideoFormat("webm", "libvpx-vp9", _VP9, frozenset({"opus", "vorbis"}), "libopus"),
}
"""By suffix of the file's name."""
ALPHA_FORMATS: dict[str, VideoFormat] = {
    ".mov": replace(VIDEO_FORMATS[".mov"], codec="prores_ks", options=_PRORES_4444, pix_fmt="yuva444p10le"),
    # libvpx codes alpha as a second stream, which must hide the same pictures: none.
    ".webm": replace(VIDEO_FORMATS[".webm"], options=_VP9 | {"auto-alt-ref": "0"}, pix_fmt="yuva420p"),
}
"""Those that hold alpha: ProRes 4444 for editors, exact, and VP9 for browsers."""


def video_format(path: Path, *, alpha: bool = False) -> VideoFormat:
    """How a file of this name is written. Raises UsageError for a suffix that says no format, or one without alpha."""
    formats = ALPHA_FORMATS if alpha else VIDEO_FORMATS
    if path.suffix.lower() not in formats:
        raise UsageError(
            f"a video{' with alpha' if alpha else ''} cannot be written as "
            f"{path.suffix or 'a file without suffix'}: {path}",
            f"choose from: {', '.join(formats)}{' or a folder, which gets a PNG a frame' if alpha else ''}",
        )
    return formats[path.suffix.lower()]


class Encoder(Protocol):
    """Makes the packets of a video stream and adds them to a container, as `PictureEncoder` does."""

    def write(self, picture: Any, ticks: int) -> None: ...

    def finish(self, until: int) -> None: ...


class VideoSink:
    """Writes what `view` draws, (H, W, 3) uint8 BGR, in the format that the suffix of `path` names.

    H.264 4:2:0 (VP9 in WebM) of the first picture's size, made even by repeating the last column or row; later
    pictures of another size are letterboxed. Each picture shows exactly at its frame's pts, with the tick of `info`,
    and the last one until `info.duration` where that is plausible. An MP4 has its index in front, so that it plays
    while it loads.

    alpha: `view` draws (H, W, 4) uint8 BGRA, straight alpha, for ProRes 4444 in MOV and VP9 in WebM.
    audio_from: a file or URL whose sound is carried over (see `AudioTrack`), or None. Where the pictures end before the
        input did, the sound ends with them.

    Raises UsageError for a suffix that is not in VIDEO_FORMATS (with alpha: ALPHA_FORMATS) and SinkError where the file
    cannot be written.
    """

    def __init__(
        self,
        path: Path,
        info: SourceInfo,
        view: Callable[[Parsing], NDArray[np.uint8]],
        audio_from: str | None = None,
        *,
        alpha: bool = False,
    ) -> None:
        self._format = video_format(path, alpha=alpha)
        self._info = info
        self._view: Callable[[Parsing], Any] = view
        self._audio_from = audio_from
        tick = info.time_base or _FINE_TICK
        usable = tick >= _FINEST_TICK and tick.numerator <= _LARGEST_NUMERATOR
        self._tick = tick if usable else _FINE_TICK
        self._fps = info.fps if info.fps and info.fps <= _MOST_FPS else _USUAL_FPS
        self._gap = max(1, round(1 / self._fps / self._tick))
        self._last = -1
        self._container: OutputContainer | None = None
        self._encoder: Encoder | None = None
        self._audio: AudioTrack | None = None
        self._lead = 0
        self._file = PartialFile(path)

    def write(self, parsing: Parsing) -> None:
        picture = self._view(parsing)
        with video_errors(self._file.path):
            encoder = self._encoder or self._open(picture)
            ticks = round(Fraction(parsing.frame.pts) / self._tick)
            if ticks <= self._last:  # of a caller's own frames: sources see to it that time runs forward
                ticks = self._last + self._gap
            self._last = ticks
            encoder.write(picture, ticks + self._lead)
            if self._audio is not None:
                self._audio.write_until((ticks + self._lead) * self._tick)

    def finish(self) -> None:
        try:
            if self._encoder is None:
                raise SinkError(f"no frames came for {self._file.path}, so it was not written")
            with video_errors(self._file.path):
                end, whole = self._ending()
                self._encoder.finish(end + self._lead)
                if self._audio is not None:
                    self._audio.write_until(None if whole else (end + self._lead) * self._tick)
                    self._audio.finish()
                if self._container is not None:
                    self._container.close()
        except BaseException:
            self.abort()
            raise
        if self._audio is not None:
            self._audio.close()
        self._file.commit()

    def abort(self) -> None:
        if self._audio is not None:
            self._audio.close()
        if self._container is not None:
            # Closing writes the index, and fails again on a full disk.
            with suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()
        self._file.discard()

    def _open(self, picture: Any) -> Encoder:
        self._container = av.open(
            str(self._file.part),
            "w",
            format=self._format.container,
            container_options={"movflags": "+faststart"} if self._format.container in ("mp4", "mov") else {},
        )
        height, width = picture.shape[:2]
        encoder = self._encoder_for(self._container, (width, height))
        if self._audio_from is not None:
            try:
                copied, audio_encoder = self._format.copied, self._format.audio_encoder
                self._audio = AudioTrack(self._audio_from, self._container, copied, audio_encoder)
                self._lead = round(self._audio.lead / self._tick)
            except RtparseError as error:
                _LOG.warning("%s is written without sound: %s", self._file.path, error)
        self._encoder = encoder
        return encoder

    def _encoder_for(self, output: OutputContainer, size_wh: tuple[int, int]) -> Encoder:
        codec, options, pix_fmt = self._format.codec, self._format.options, self._format.pix_fmt
        return PictureEncoder(output, codec, options, size_wh, self._fps, self._tick, pix_fmt=pix_fmt)

    def _ending(self) -> tuple[int, bool]:
        """When the last picture ends, in ticks, and whether that is where the input ends."""
        usual = self._last + self._gap
        if self._info.duration is None:
            return usual, False
        stated = round(Fraction(self._info.duration) / self._tick)
        # A last picture may stay longer than the others, but seconds more mean that pictures are missing.
        whole = stated - usual <= max(3 * self._gap, round(1 / self._tick))
        return (stated if whole and stated > self._last else usual), whole
