"""The bar chart of a bench report."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.bench.report import BenchReport, GpuReport

WIDTH = 1200
BAR = 26
ROW = 38
GAP = 24
"""Around everything, and between the groups."""
PLOT = 660
"""Pixels of the longest bar."""
TICKS = 5
"""Lines that divide the plot, at most."""

INK, FAINT, GRID, PAPER = (50, 44, 40), (130, 122, 116), (232, 228, 224), (255, 255, 255)
STAGE, ENGINE, WHOLE, LATENCY, OTHER, KERNEL = (
    (196, 158, 118),
    (60, 122, 232),
    (128, 78, 32),
    (122, 160, 84),
    (176, 168, 162),
    (150, 96, 150),
)
"""BGR."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class _Bar:
    """digits: of its value, behind the point."""

    name: str
    value: float
    colour: tuple[int, int, int]
    note: str = ""
    digits: int = 2


@dataclass(frozen=True)
class _Plot:
    """Groups of bars by title, all of one scale. about: what the scale is of."""

    about: str
    groups: dict[str, list[_Bar]]

    @property
    def longest(self) -> float:
        return max(bar.value for bars in self.groups.values() for bar in bars)

    @property
    def names(self) -> list[str]:
        return [bar.name for bars in self.groups.values() for bar in bars]

    @property
    def height(self) -> int:
        return sum(ROW * (len(bars) + 1) for bars in self.groups.values()) + 4 * GAP


def draw_chart(report: BenchReport) -> NDArray[np.uint8]:
    """Milliseconds a frame of the stages, the totals, the latency and what the engine was compared with; of a GPU also
    its parts, and the share of a copy's rate that each kernel reaches.

    Returns (H, W, 3) uint8 BGR. All bars of milliseconds have one scale.
    """
    size = "{1}x{0}".format(*report.frame_hw)
    about = f"milliseconds a frame, {size}, {report.frames} frames, medians of {report.rounds} rounds"
    plots = [_Plot(about, _groups(report))]
    if report.gpu:
        plots.append(
            _Plot("bytes a second of each kernel over those of a copy", {report.gpu.gpu: _kernels(report.gpu)})
        )
    left = GAP + max(_text_width(name, 0.6) for plot in plots for name in plot.names) + GAP
    picture = np.full((3 * GAP + sum(plot.height for plot in plots), WIDTH, 3), PAPER, np.uint8)
    _write(picture, report.engine, (GAP, 2 * GAP), 0.9, INK, 2)
    top = 2 * GAP
    for plot in plots:
        _draw_plot(picture, plot, left, top)
        top += plot.height
    return picture


def _draw_plot(picture: NDArray[np.uint8], plot: _Plot, left: int, top: int) -> None:
    y, bottom = top + 2 * GAP, top + plot.height - GAP
    _write(picture, plot.about, (GAP, top + GAP + 4), 0.55, FAINT)
    scale = PLOT / plot.longest
    step = _step(plot.longest)
    for i in range(int(plot.longest / step) + 1):
        x = left + round(i * step * scale)
        cv2.line(picture, (x, y), (x, bottom), GRID, 1)
        label = f"{i * step:g}"
        _write(picture, label, (x - _text_width(label, 0.5) // 2, bottom + GAP), 0.5, FAINT)
    for title, bars in plot.groups.items():
        y += ROW
        picture[y - 26 : y - 4, GAP : GAP + _text_width(title, 0.55)] = PAPER  # no line runs through it
        _write(picture, title, (GAP, y - 10), 0.55, FAINT)
        for bar in bars:
            _draw(picture, bar, (left, y), max(2, round(bar.value * scale)))
            y += ROW


def _groups(report: BenchReport) -> dict[str, list[_Bar]]:
    engine_ms, labels_ms, whole_ms = (1000 / fps for fps in (report.engine_fps, report.labels_fps, report.pipeline_fps))
    floor = "network on the GPU" if report.gpu else "engine"
    groups = {
        "each stage alone": [_Bar(name, ms, STAGE) for name, ms in report.stages_ms.items() if name != "engine"],
        "the floor, and everything together": [
            _Bar("bare engine", engine_ms, ENGINE, f"{report.engine_fps:.1f} FPS"),
            _Bar("frames in memory to labels", labels_ms, WHOLE, f"{report.labels_ratio:.2f} of the {floor}"),
            _Bar("whole pipeline", whole_ms, WHOLE, f"{report.pipeline_fps:.1f} FPS, {report.ratio:.2f} of the engine"),
        ],
        "from a decoded frame to its labels, one frame in flight": [
            _Bar(f"latency {name}", ms, LATENCY) for name, ms in report.latency_ms.items()
        ],
    }
    if report.gpu:
        groups[f"on the {report.gpu.gpu}, nothing copied"] = [
            _Bar(name, ms, ENGINE, digits=3)
            for name, ms in (
                ("network, launched anew", report.gpu.engine_ms),
                ("network, as a graph", report.gpu.engine_graph_ms),
            )
            if ms is not None
        ]
    if report.against:
        groups["the same network elsewhere, in turns with the engine"] = [
            _Bar(name, other.ms, OTHER, f"{other.ratio:.2f} of the engine's time")
            for name, other in report.against.items()
        ]
    return groups


def _kernels(gpu: GpuReport) -> list[_Bar]:
    return [
        _Bar(name, each.of_copy, KERNEL, f"{each.us:.1f} us, {each.gbps:.0f} GB/s")
        for name, each in gpu.kernels.items()
    ]


def _draw(picture: NDArray[np.uint8], bar: _Bar, place: tuple[int, int], length: int) -> None:
    x, y = place
    baseline = y + BAR // 2 + 7
    _write(picture, bar.name, (x - GAP // 2 - _text_width(bar.name, 0.6), baseline), 0.6, INK)
    cv2.rectangle(picture, (x, y), (x + length, y + BAR), bar.colour, cv2.FILLED)
    figure = f"{bar.value:.{bar.digits}f}"
    after = x + length + 10
    _write(picture, figure, (after, baseline), 0.6, INK)
    _write(picture, bar.note, (after + _text_width(figure, 0.6) + 14, baseline), 0.55, FAINT)


def _step(longest: float) -> float:
    """Between two lines of the grid: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(longest / TICKS))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * TICKS >= longest)


def _write(
    picture: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    scale: float,
    colour: tuple[int, int, int],
    thickness: int = 1,
) -> None:
    cv2.putText(picture, text, place, _FONT, scale, colour, thickness, cv2.LINE_AA)


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])
