"""Steadiness of a stream's labels, judged without labels: what moves should take its classes along.

The optical flow between two frames says where each pixel was; there the label should have been the same. Pixels count
whose flow can be trusted: following it back leads to where it came from, within the bound of Sundaram, Brox and
Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow" (ECCV 2010), section 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError
from rtparse.parsing import Parsing

EDGE = 8
"""Pixels along the frame's edge that do not count: the width of the flow's patches, which have nothing beyond it."""


@dataclass(frozen=True)
class Steadiness:
    """Shares in 0..1 over all pairs of consecutive frames.

    frames: how many were seen.
    followed: share of all pixels that could be followed to the frame before; only these count in the next two.
    unchanged: share of those that kept their label; nan where nothing could be followed.
    unchanged_person: the same, of pixels that are a person before or after; nan where there is none.
    changed_in_place: share of all pixels whose label differs from that of the same place in the frame before, moved or
        not.
    changes_in_place: that share for every pair of frames, in order.
    """

    frames: int
    followed: float
    unchanged: float
    unchanged_person: float
    changed_in_place: float
    changes_in_place: tuple[float, ...]


def steadiness(parsings: Iterable[Parsing]) -> Steadiness:
    """Judge the parsings of a stream, in order; only two are held at a time.

    Pairs of frames of different sizes are passed over. Raises UsageError for fewer than two frames to compare.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    frames = 0
    counts = np.zeros(5, np.int64)
    changes: list[float] = []
    for parsing in parsings:
        frames += 1
        grey, labels = np.asarray(cv2.cvtColor(parsing.frame.image, cv2.COLOR_BGR2GRAY), np.uint8), parsing.labels
        if before is not None and before[0].shape == grey.shape:
            x, y, trusted = _followed(flow, before[0], grey)
            was = np.asarray(cv2.remap(before[1], x, y, cv2.INTER_NEAREST))
            same, person = (was == labels) & trusted, ((was != 0) | (labels != 0)) & trusted
            counts += [labels.size] + [int(np.count_nonzero(each)) for each in (trusted, same, person, same & person)]
            changes.append(float((before[1] != labels).mean()))
        before = grey, labels
    if not changes:
        raise UsageError(
            f"got {frames} frame{'s' if frames != 1 else ''} and no two of one size in a row", "expected a video"
        )
    pixels, followed, kept, people, people_kept = counts.tolist()
    return Steadiness(
        frames=frames,
        followed=followed / pixels,
        unchanged=kept / followed if followed else np.nan,
        unchanged_person=people_kept / people if people else np.nan,
        changed_in_place=float(np.mean(changes)),
        changes_in_place=tuple(changes),
    )


def _followed(
    flow: cv2.DISOpticalFlow, before: NDArray[np.uint8], now: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Where each pixel of `now` (H, W) was in `before`: x, y and whether that can be trusted, each (H, W)."""
    height, width = now.shape
    back, forth = (
        np.asarray(flow.calc(first, second, np.zeros((height, width, 2), np.float32)), np.float32)
        for first, second in ((now, before), (before, now))
    )
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    x, y = columns + back[..., 0], rows + back[..., 1]
    returned = np.asarray(cv2.remap(forth, x, y, cv2.INTER_LINEAR), np.float32)
    mismatch = ((back + returned) ** 2).sum(axis=2)
    bound = 0.01 * ((back**2).sum(axis=2) + (returned**2).sum(axis=2)) + 0.5
    trusted = mismatch <= bound
    for place, side in ((x, width), (y, height), (columns, width), (rows, height)):
        trusted &= (place >= EDGE) & (place <= side - 1 - EDGE)
    return x, y, trusted
