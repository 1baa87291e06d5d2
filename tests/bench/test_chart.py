"""The chart of a bench report, read back from its pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.bench import BenchReport, Compared, GpuReport, KernelSpeed
from rtparse.bench.chart import ENGINE, KERNEL, LATENCY, OTHER, PLOT, STAGE, WHOLE, draw_chart

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
    labels_fps=47.0,
    latency_ms={"p50": 24.0, "p90": 30.0, "p99": 40.0},
    against={"openvino": Compared(10.0, 0.5), "torch-compile": Compared(32.0, 1.6)},
    skipped={},
)
GPU = GpuReport(
    gpu="a card of some long name",
    compute_capability="8.9",
    driver="13.0",
    batch=2,
    engine_ms=12.0,
    engine_graph_ms=8.0,
    upload_gbps=20.0,
    download_gbps=21.0,
    copy_gbps=800.0,
    kernels={"letterbox_normalize_half_bgr": KernelSpeed(20.0, 500.0, 0.8), "blend": KernelSpeed(10.0, 250.0, 0.4)},
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
        (WHOLE, [1000 / 47, 25]),
        (LATENCY, [24, 30, 40]),
        (OTHER, [10, 32]),
    ):
        assert bars(picture, colour) == pytest.approx([each / 40 * PLOT for each in milliseconds], abs=2)
    margin = picture[:, -10:]
    assert (margin == 255).all()  # nothing is cut off


def test_a_gpus_kernels_have_a_scale_of_their_own() -> None:
    picture = draw_chart(replace(REPORT, gpu=GPU))
    assert bars(picture, ENGINE) == pytest.approx([each / 40 * PLOT for each in (20, 12, 8)], abs=2)
    assert bars(picture, KERNEL) == pytest.approx([PLOT, PLOT / 2], abs=2)
    assert (picture[:, -10:] == 255).all()
    without_graph = draw_chart(replace(REPORT, gpu=replace(GPU, engine_graph_ms=None)))
    assert len(bars(without_graph, ENGINE)) == 2


def test_ratios_are_over_the_engine_that_nothing_is_copied_for() -> None:
    report = replace(REPORT, gpu=GPU)
    assert REPORT.figures()["labels_ratio"] == pytest.approx(47 / 50)
    assert report.figures()["labels_ratio"] == pytest.approx(47 / (2 * 1000 / 8))
    assert report.figures()["ratio"] == REPORT.ratio == 0.8
    assert report.figures()["gpu"]["kernels"]["blend"] == {"us": 10.0, "gbps": 250.0, "of_copy": 0.4}
