"""The view of every parsing as a recording without an end: a file every so many minutes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.encoder import video_errors
from rtparse.sinks.live_video import LiveVideo
from rtparse.sinks.partial import write_errors

# While it is written a hybrid MP4 is fragmented, whole up to the last fragment; closed it is one that any player seeks.
_OPTIONS = {"movflags": "+hybrid_fragmented", "frag_duration": "500000", "flush_packets": "1"}


class SegmentSink:
    """Writes what `view` draws, (H, W, 3) uint8 BGR, as H.264 in MP4 files `folder`/NAME_20261125T051806Z.mp4.

    name: before the time, UTC, of a file's first frame. A file that is there already is never touched: a number is
        added. seconds: after which a file is closed and the next one begins, by the frames' pts. fps: of the source.

    A file under way is called NAME_TIME.part.mp4 and plays up to its last half second whatever ends the process; it has
    its final name when it is closed. `abort` leaves it under the first. Pictures of another size are letterboxed until
    the next file. Makes the folder. Raises SinkError where it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        view: Callable[[Parsing], NDArray[np.uint8]],
        *,
        name: str = "rtparse",
        seconds: float = 600.0,
        fps: Fraction | None = None,
    ) -> None:
        self._folder = folder
        self._view = view
        self._name = name
        self._seconds = seconds
        self._fps = fps
        self._video: LiveVideo | None = None
        self._part = self._path = folder
        self._start = 0.0
        if folder.exists() and not folder.is_dir():
            raise SinkError(f"{folder} is a file, expected a folder to record into", "choose another name")
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, parsing: Parsing) -> None:
        picture, pts = self._view(parsing), parsing.frame.pts
        if self._video is not None and max(pts - self._start, self._video.seconds) >= self._seconds:
            self.finish()
        with video_errors(self._path):
            if self._video is None:
                self._video = self._begin(picture)
                self._start = pts
            self._video.write(picture, pts)

    def finish(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            with video_errors(self._path):
                video.finish()
                self._part.rename(self._path)

    def abort(self) -> None:
        if self._video is not None:
            self._video.abort()
            self._video = None

    def _begin(self, picture: NDArray[np.uint8]) -> LiveVideo:
        stem = f"{self._name}_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        number, name = 1, stem
        while (self._folder / f"{name}.mp4").exists() or (self._folder / f"{name}.part.mp4").exists():
            number += 1
            name = f"{stem}-{number}"
        self._path = self._folder / f"{name}.mp4"
        self._part = self._folder / f"{name}.part.mp4"
        height, width = picture.shape[:2]
        # Absolute, because FFmpeg takes "a:b.mp4" for a protocol named a.
        return LiveVideo(str(self._part.absolute()), "mp4", _OPTIONS, (width, height), self._fps)
