"""Cutting long videos, so that one of three hours does not hold the end of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rtparse.batch.inputs import opened
from rtparse.batch.job import Video, Work
from rtparse.errors import RtparseError
from rtparse.sources.segment import read_index, stated_seconds

TOLERANCE = 1e-4
"""How much of an unknown past a part that is smoothed may hold: pictures before it are parsed until less is left."""

WORTH = 1.5
"""A video is cut when it is so many times as long as a part."""


@dataclass(frozen=True)
class Cutting:
    """seconds: of video in a part; 0 cuts nothing. smooth: the strength of smoothing, whose past each part needs."""

    seconds: float
    smooth: float = 0.0

    @property
    def warm(self) -> int:
        """Pictures that warm up a part: the past weighs smooth^n after n of them."""
        return math.ceil(math.log(TOLERANCE) / math.log(self.smooth)) if self.smooth else 0

    def works(self, video: Video) -> list[Work]:
        """The video as one piece of work, or its parts. Never raises: who parses it finds out what is wrong with it."""
        if self.seconds:
            try:
                with opened(video.uri) as file:
                    seconds = stated_seconds(file)
                if seconds is None or seconds >= WORTH * self.seconds:
                    with opened(video.uri) as file:
                        index = read_index(file)
                    spans = index.spans(self.seconds, self.warm) if index else []
                    if spans:
                        return [Work(video, span, part, len(spans)) for part, span in enumerate(spans)]
            except RtparseError:
                pass
        return [Work(video)]
