"""A part of the frame that the user chose, through the front door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import Parser, UsageError
from rtparse.engines import open_engine
from rtparse.engines.base import Engine

ROI = (31, 7, 53, 41)
PART = np.s_[7:48, 31:84]


@pytest.fixture(scope="module")
def engine(tiny_onnx: Path) -> Iterator[Engine]:
    with open_engine(tiny_onnx) as opened:
        yield opened


def picture(seed: int = 0, size_hw: tuple[int, int] = (67, 101)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def test_only_the_region_is_looked_at(engine: Engine) -> None:
    image = picture()
    expected = Parser(engine)(np.ascontiguousarray(image[PART])).labels
    for roi in (ROI, "31,7,53,41"):
        parsing = Parser(engine, roi=roi)(image)
        assert parsing.frame.image is image
        assert parsing.labels.shape == (67, 101)
        np.testing.assert_array_equal(parsing.labels[PART], expected)
        outside = np.ones((67, 101), bool)
        outside[PART] = False
        assert not parsing.labels[outside].any()
    changed = picture(1)
    changed[PART] = image[PART]
    np.testing.assert_array_equal(Parser(engine, roi=ROI)(changed).labels, parsing.labels)


@pytest.mark.parametrize("smooth", [0.0, 0.7])
def test_streams_look_at_it_too(engine: Engine, smooth: float) -> None:
    images = [picture(seed) for seed in range(5)]
    cropped = [np.ascontiguousarray(image[PART]) for image in images]
    whole = list(Parser(engine, roi=ROI, smooth=smooth).stream(images))
    parts = list(Parser(engine, smooth=smooth).stream(cropped))
    for parsing, part in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(parsing.labels[PART], part.labels)
        assert parsing.labels.sum(dtype=int) == part.labels.sum(dtype=int)


@pytest.mark.parametrize(
    "roi",
    [
        (0, 0, 1, 1),  # one pixel
        (100, 66, 1, 1),  # the last one
        (0, 0, 101, 67),  # all
        (0, 30, 101, 1),  # a line
    ],
)
def test_any_region_in_the_frame_will_do(engine: Engine, roi: tuple[int, int, int, int]) -> None:
    image = picture()
    x, y, width, height = roi
    labels = Parser(engine, roi=roi)(image).labels
    expected = Parser(engine)(np.ascontiguousarray(image[y : y + height, x : x + width])).labels
    np.testing.assert_array_equal(labels[y : y + height, x : x + width], expected)


def test_a_region_outside_the_frame_is_refused(engine: Engine) -> None:
    parser = Parser(engine, roi=(60, 0, 42, 10))
    with pytest.raises(UsageError, match=r"60,0,42,10 ends at 102,10, the frame has 101x67"):
        parser(picture())
    with pytest.raises(UsageError, match="within the frame"):
        list(parser.stream([picture()]))
    with pytest.raises(UsageError, match="expected x,y,width,height"):
        Parser(engine, roi="60,0,42")


def test_of_several_sources_one_that_is_too_small_ends_alone(engine: Engine) -> None:
    sources = [iter([picture(i) for i in range(4)]), iter([picture(i, (40, 101)) for i in range(4)])]
    found = []
    with Parser(engine, roi=ROI).stream(sources) as stream, pytest.raises(UsageError, match="101x40"):
        found.extend(parsing.frame.source for parsing in stream)
    assert found == [0] * 4
