"""Parsings whose frames carry their number, so that what comes out of a sink says which frame it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.frame import Frame
from rtparse.parsing import Parsing

SIZE_HW = (96, 160)
BITS = 10


def numbered_picture(number: int, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.uint8]:
    """Ten black or white columns: the bits of the number, the lowest on the left."""
    bits = (number >> np.arange(BITS)) & 1
    columns = bits[np.arange(size_hw[1]) * BITS // size_hw[1]]
    return np.ascontiguousarray(np.broadcast_to((columns * 255).astype(np.uint8)[None, :, None], (*size_hw, 3)))


def number_in(picture: NDArray[np.uint8]) -> int:
    """The number of a picture (H, W, 3) that has the columns, lossy coding or not."""
    middles = ((np.arange(BITS) + 0.5) * picture.shape[1] / BITS).astype(int)
    bits = picture[picture.shape[0] // 2, middles].mean(-1) > 127
    return int((bits << np.arange(BITS)).sum())


@pytest.fixture
def numbered() -> Callable[..., Parsing]:
    """numbered(7, size_hw=(96, 160), source=0, fps=25) -> the parsing of frame 7; its labels are all 7 % 20."""

    def make(number: int, size_hw: tuple[int, int] = SIZE_HW, source: int = 0, fps: float = 25) -> Parsing:
        frame = Frame(numbered_picture(number, size_hw), number / fps, number, "test", source)
        return Parsing(frame, np.full(size_hw, number % 20, np.uint8))

    return make


@pytest.fixture
def read_number() -> Callable[[NDArray[np.uint8]], int]:
    """The number that a picture of `numbered` carries."""
    return number_in
