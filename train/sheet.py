"""Sheets of pictures to look at: rows of pictures, labels and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import IGNORE_LABEL, PALETTE_RGB
from rtparse.errors import SinkError
from rtparse.train.compose import cover

CELL_HW = (192, 144)
GAP = 4


def coloured(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) class ids to (H, W, 3) uint8 BGR in the palette; ignored pixels are white."""
    table = np.full((IGNORE_LABEL + 1, 3), 255, np.uint8)
    table[: len(PALETTE_RGB)] = np.asarray(PALETTE_RGB, np.uint8)[:, ::-1]
    return table[labels]


def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], cell_hw: tuple[int, int] = CELL_HW) -> NDArray[np.uint8]:
    """One picture (H, W, 3) uint8 BGR of rows of equally many pictures, each cropped to a cell."""
    lines = [np.hstack([_framed(cover(picture, cell_hw, (0.5, 0.5))) for picture in row]) for row in rows]
    return np.vstack(lines)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((0, GAP), (0, GAP), (0, 0)))


def write_sheet(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]], cell_hw: tuple[int, int] = CELL_HW) -> None:
    """Write a sheet as PNG, under its name only when whole. Raises SinkError when that fails."""
    beside = path.with_name(f".{path.name}.part.png")
    _, packed = cv2.imencode(".png", sheet(rows, cell_hw))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(np.asarray(packed).tobytes())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise SinkError(f"{path} cannot be written ({error.strerror})") from None
