"""Small labelled pictures on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

WritePair = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write_pair() -> WritePair:
    """write_pair(image, label, value=0, size_hw=(20, 10)): a picture and a label of one value each."""

    def write(image: Path, label: Path, value: int = 0, size_hw: tuple[int, int] = (20, 10)) -> tuple[Path, Path]:
        for path, picture in (
            (image, np.full((*size_hw, 3), 10 * value % 256, np.uint8)),
            (label, np.full(size_hw, value, np.uint8)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), picture)
        return image, label

    return write


@pytest.fixture
def folder(tmp_path: Path, write_pair: WritePair) -> Path:
    """images/ and labels/ with 6 pairs, 0 to 5, labelled by their number."""
    for number in reversed(range(6)):
        write_pair(tmp_path / "images" / f"{number}.jpg", tmp_path / "labels" / f"{number}.png", number)
    return tmp_path
