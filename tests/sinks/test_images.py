from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.errors import SinkError, UsageError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.images import ImageSink


def parsing(width: int = 30) -> Parsing:
    image = np.full((20, width, 3), (10, 120, 220), np.uint8)
    return Parsing(Frame(image), np.zeros((20, width), np.uint8))


@pytest.mark.parametrize(("name", "tolerance"), [("o.png", 0), ("o.jpg", 6), ("o.JPEG", 6), ("o.webp", 6)])
def test_the_view_in_the_format_of_the_suffix(tmp_path: Path, name: str, tolerance: int) -> None:
    sink = ImageSink(tmp_path / name, lambda parsing: parsing.frame.image)
    sink.write(parsing())
    sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    read = cv2.imread(str(tmp_path / name))
    assert read is not None
    np.testing.assert_allclose(read.astype(int), parsing().frame.image, atol=tolerance)


def test_one_picture_only(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "o.png", lambda parsing: parsing.frame.image)
    sink.write(parsing())
    with pytest.raises(SinkError, match="takes one picture"):
        sink.write(parsing())
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_no_picture_no_file(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "o.png", lambda parsing: parsing.frame.image)
    with pytest.raises(SinkError, match="no picture"):
        sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_large_for_its_format(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "o.webp", lambda parsing: parsing.frame.image)
    with pytest.raises(SinkError, match="20000x20 cannot be written"):
        sink.write(parsing(width=20_000))  # WebP ends at 16383
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"choose from: \.png"):
        ImageSink(tmp_path / "o.svg", lambda parsing: parsing.frame.image)
