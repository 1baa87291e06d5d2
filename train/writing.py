"""Folders and PNG files for what is written about a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError
from rtparse.sinks.partial import write_errors


def make_folder(path: Path) -> None:
    """Make a folder and those around it; one that is there is left as it is. Raises SinkError."""
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W) or (H, W, 3) uint8 BGR as the content of a PNG. Raises SinkError for a size that PNG lacks."""
    try:
        done, content = cv2.imencode(".png", picture)
    except cv2.error:
        done = False
    if not done:
        height, width = picture.shape[:2]
        raise SinkError(f"a picture of {width}x{height} cannot be written as a PNG")
    return content.tobytes()
