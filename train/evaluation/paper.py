"""The figures that C-DLinkNet's paper reports, to stand beside ours.

Lu et al., "C-DLinkNet: considering multi-level semantic features for human parsing" (2020), Tables I and II: LIP val,
in per cent as printed. They are the paper's claims about its own data; nothing here was measured by us.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "paper, LIP val"
"""What every column of these figures is headed with."""


@dataclass(frozen=True)
class Ablation:
    """A row of Table I. iou: by class in the order of rtparse.classes.CLASSES."""

    method: str
    iou: tuple[float, ...]
    miou: float


@dataclass(frozen=True)
class Comparison:
    """A row of Table II."""

    method: str
    pixel_accuracy: float
    mean_accuracy: float
    miou: float


# fmt: off
TABLE_1 = (
    Ablation("B", (86.76, 63.04, 70.2, 34.82, 20.98, 66.98, 35.43, 54.64, 43.3, 72.48,
                   27.17, 17.01, 25.09, 72.91, 61.03, 63.43, 57.17, 55.66, 44.42, 45.64), 50.92),
    Ablation("B + A", (86.87, 63.9, 70.33, 37.13, 27.56, 67.29, 33.91, 54.95, 44.93, 73.23,
                       28.52, 17.28, 26.95, 73.34, 62.09, 64.11, 56.44, 55.81, 41.44, 42.23), 51.42),
    Ablation("B + S", (86.9, 64.45, 70.74, 36.8, 27.39, 67.04, 32.63, 54.34, 45.35, 72.91,
                       28.02, 15.6, 26.28, 74.01, 62.25, 64.45, 59.3, 57.84, 45.55, 46.62), 51.93),
    Ablation("B + A + S", (87.22, 63.64, 71.35, 38.95, 31.33, 68.08, 34.13, 55.07, 46.47, 73.15,
                           28.74, 20.28, 24.11, 74.12, 63.12, 65.38, 57.39, 56.96, 42.49, 42.52), 52.22),
    Ablation("B + S + A + L", (87.04, 63.29, 70.48, 40.06, 31.69, 68.29, 39.89, 55.37, 49.06, 73.17,
                               31.49, 22.44, 25.59, 73.4, 62.23, 65.14, 59.1, 58.0, 44.21, 44.14), 53.05),
)
# fmt: on
"""A: ASPP, S: Smooth module, L: multi-scale loss. The classes of the last row average 53.20, not the 53.05 printed."""

TABLE_2 = (
    Comparison("Deeplab (VGG16)", 82.66, 51.64, 41.64),
    Comparison("Attention", 83.43, 54.39, 42.92),
    Comparison("Deeplab (ResNet-101)", 84.09, 55.62, 44.8),
    Comparison("JPPNet", 86.39, 62.32, 51.37),
    Comparison("CE2P", 87.37, 63.20, 53.10),
    Comparison("C-DLinkNet", 87.04, 62.84, 53.05),
)
