"""Where people are, by what the network says of a part of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.preprocess import Letterbox
from rtparse.regions.region import Region

LEAST_POINTS = 6
"""Points of the logits' grid that people have at least; fewer are noise."""

MOST_PEOPLE = 32
"""People that are told of one part, the largest ones: noise must not cost time."""


def find_people(
    logits: NDArray[np.float32], letterbox: Letterbox, part: Region, smallest: float, probability: float
) -> list[Region]:
    """The boxes, in pixels of the frame, of connected components that are someone with more than this probability.

    logits: (classes, h, w) of a part of a frame that lies in `letterbox`. People who touch are one component, and one
        person may be several.
    smallest: pixels of the frame that the longer side of a component has at least.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(_someone(logits, probability).view(np.uint8), connectivity=8)
    grid_hw = logits.shape[1:]
    (top, height), (left, width) = (
        (first * grid / network, content * grid / network)
        for first, content, grid, network in zip(
            (letterbox.top, letterbox.left), letterbox.content_hw, grid_hw, letterbox.network_hw, strict=True
        )
    )
    found = []
    for x, y, across, down, points in stats[1:]:
        if points < LEAST_POINTS:
            continue
        box = part.between(
            (x - left) * part.width / width,
            (y - top) * part.height / height,
            (x + across - left) * part.width / width,
            (y + down - top) * part.height / height,
        )
        if box is not None and max(box.size_hw) >= smallest:
            found.append(box)
    return sorted(found, key=lambda box: -box.area)[:MOST_PEOPLE]


def _someone(logits: NDArray[np.float32], probability: float) -> NDArray[np.bool_]:
    """Whether all classes but the background have more than this probability together: (h, w)."""
    classes = logits[1:]
    most = classes.max(0)
    # log of the sum of exp, from the greatest so that nothing overflows.
    ahead = most + np.log(np.exp(classes - most).sum(0)) - logits[0]
    return np.asarray(ahead > np.log(probability / (1 - probability)))
