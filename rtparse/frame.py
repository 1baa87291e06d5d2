"""One picture of a source, the value that travels from sources to sinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture with its place in time.

    image: (H, W, 3) uint8, BGR, C-contiguous, upright (rotation metadata and EXIF are already applied). Owned by the
        frame: no source writes into it after yielding, and consumers must not either (copy before drawing).
    pts: presentation time in seconds from the start of the source; 0.0 for a single image.
    index: 0, 1, 2, ... in the order of the source, without gaps.
    name: where it came from, for messages and file names: a path, URL, or "camera 0".
    source: which of the sources that are parsed together it came from: 0, 1, ... in the order they were given.
    arrived: when it reached this program, by `time.monotonic()`, for frames of live sources; None for others.
    """

    image: NDArray[np.uint8]
    pts: float = 0.0
    index: int = 0
    name: str = ""
    source: int = 0
    arrived: float | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]
