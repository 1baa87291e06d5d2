from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.sources.arrays import ArraySource


def test_arrays_play_at_the_given_rate() -> None:
    with ArraySource([np.full((4, 6, 3), grey, np.uint8) for grey in (1, 2, 3)], fps=Fraction(10)) as source:
        frames = list(source)
        assert (source.info.fps, source.info.frame_count) == (10, 3)
    assert [frame.pts for frame in frames] == [0.0, 0.1, 0.2]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 3]
    assert [frame.index for frame in frames] == [0, 1, 2]


def test_a_generator_may_reuse_its_buffer_and_is_read_lazily() -> None:
    asked = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        buffer = np.zeros((4, 6, 3), np.uint8)
        for grey in range(5):
            asked.append(grey)
            buffer[:] = grey
            yield buffer

    with ArraySource(pictures()) as source:
        iterator = iter(source)
        first, second = next(iterator), next(iterator)
        assert asked == [0, 1]
        assert source.info.frame_count is None
    assert (first.image.max(), second.image.max()) == (0, 1)
    assert list(iterator) == []


def test_frames_keep_their_time_and_their_array() -> None:
    given = [
        Frame(np.zeros((2, 2, 3), np.uint8), pts=pts, index=index, name="in") for index, pts in ((7, 0.3), (9, 0.9))
    ]
    frames = list(ArraySource(given))
    assert [(frame.pts, frame.index, frame.name) for frame in frames] == [(0.3, 0, "in"), (0.9, 1, "in")]
    assert all(frame.image is before.image for frame, before in zip(frames, given, strict=True))


def test_kinds_mix_and_color_is_of_arrays_only() -> None:
    red_rgb = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    frames = list(ArraySource([red_rgb, Image.fromarray(red_rgb)], color="rgb"))
    assert [tuple(frame.image[0, 0]) for frame in frames] == [(0, 0, 255)] * 2


def test_what_cannot_be_a_picture_is_named() -> None:
    with pytest.raises(UsageError, match="int64"):
        list(ArraySource([np.zeros((2, 2), np.int64)]))
