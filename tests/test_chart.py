"""The chart of a bench report, read back from its pixels."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.bench import BenchReport, Compared
from rtparse.chart import ENGINE, LATENCY, OTHER, PLOT, STAGE, WHOLE, draw_chart

REPORT = BenchReport(
    source="walk.mp4",
    frame_hw=(360, 640),
    network_hw=(176, 304),
    engine="onnxruntime small.onnx",
    frames=300,
    rounds=3,
    stages_ms={"decode": 2.0, "preprocess": 1.0, "engine": 20.0, "postprocess": 3.0, "overlay": 1.0, "encode": 4.0},
    engine_fps=50.0,
    pipeline_fps=40.0,
    latency_ms={"p50": 24.0, "p95": 30.0, "p99": 40.0},
    against={"openvino": Compared(10.0, 0.5), "torch-compile": Compared(32.0, 1.6)},
)


def bars(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> list[int]:
    """Lengths of the bars of a colour, from top to bottom."""
    lengths = (picture == colour).all(axis=2).sum(axis=1)
    return [int(length) for length, _ in groupby(lengths) if length > 1]


def test_the_bars_are_as_long_as_the_times() -> None:
    picture = draw_chart(REPORT)
    for colour, milliseconds in (
        (STAGE, [2, 1, 3, 1, 4]),  # the engine has a bar of its own
        (ENGINE, [20]),
        (WHOLE, [25]),
        (LATENCY, [24, 30, 40]),
        (OTHER, [10, 32]),
    ):
        assert bars(picture, colour) == pytest.approx([each / 40 * PLOT for each in milliseconds], abs=2)
    margin = picture[:, -10:]
    assert (margin == 255).all()  # nothing is cut off
