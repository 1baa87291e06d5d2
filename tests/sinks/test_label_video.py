"""Label videos give back the very ids."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import SinkError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.label_video import LabelVideoSink


def parsing(labels: NDArray[np.uint8], pts: float, index: int) -> Parsing:
    return Parsing(Frame(np.zeros((*labels.shape, 3), np.uint8), pts, index, "in.mp4"), labels)


@pytest.mark.parametrize(
    "size_hw",
    [
        (48, 64),
        (1, 1),  # smaller than a slice
        (37, 51),  # odd
    ],
)
def test_every_id_comes_back(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 20, size_hw).astype(np.uint8) for _ in range(5)]
    frames.append(np.full(size_hw, 255, np.uint8))
    times = [0.0, 0.04, 0.08, 0.0801, 0.5, 1.0]  # two of them less than a millisecond apart
    sink = LabelVideoSink(tmp_path / "labels.mkv", Fraction(25))
    for index, (labels, pts) in enumerate(zip(frames, times, strict=True)):
        sink.write(parsing(labels, pts, index))
    assert not (tmp_path / "labels.mkv").exists()
    sink.finish()
    with av.open(str(tmp_path / "labels.mkv")) as written:
        assert written.streams.video[0].codec_context.name == "ffv1"
        back = list(written.decode(video=0))
    assert [frame.pts for frame in back] == [0, 40, 80, 81, 500, 1000]
    for frame, labels in zip(back, frames, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(format="gray"), labels)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.mkv"]


def test_another_size_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    sink = LabelVideoSink(tmp_path / "labels.mkv", None)
    sink.write(parsing(np.zeros((48, 64), np.uint8), 0, 0))
    with pytest.raises(SinkError, match="has 64x40, those before had 64x48"):
        sink.write(parsing(np.zeros((40, 64), np.uint8), 1, 1))
    sink.abort()
    assert not list(tmp_path.iterdir())


def test_no_frames_make_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no frames"):
        LabelVideoSink(tmp_path / "labels.mkv", None).finish()
    assert not list(tmp_path.iterdir())
