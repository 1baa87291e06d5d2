"""Which people share a crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from rtparse.regions.crop import CropShape
from rtparse.regions.region import Region

TOUCH = 0.1
"""Boxes that are closer than this share of the smaller one's longer side touch: parts of one person, or people arm in
arm."""

CHEAP = 1.3
KEPT = 1.5
"""People share a crop if it shows none of them smaller by more than this factor than a crop of their own would; those
who shared one before do so up to the second figure, so that nobody comes and goes with every step."""

BEARABLE = 2.0
"""The same factor where there are more people than crops. Past it the network may not even find them again."""


def grouped(
    boxes: Sequence[Region], shape: CropShape, most: int, together: Callable[[Region, Region], bool]
) -> list[Region]:
    """The boxes of groups of people. Where there are more than `most`, those who are closest share a crop too, if that
    is bearable.

    together: whether two boxes lay in one crop in the frame before.
    """
    groups = list(boxes)

    def loss(a: Region, b: Region) -> float:
        """How much smaller a common crop shows the one it shows smaller."""
        return max(shape.zoom(a), shape.zoom(b)) / shape.zoom(a.joined(b))

    def share(a: Region, b: Region) -> bool:
        near = TOUCH * min(max(a.size_hw), max(b.size_hw))
        return a.grown(near).shared(b) > 0 or loss(a, b) <= (KEPT if together(a, b) else CHEAP)

    while len(groups) > 1:
        pair = next((pair for pair in combinations(groups, 2) if share(*pair)), None)
        if pair is None and len(groups) > most:
            closest = min(combinations(groups, 2), key=lambda pair: loss(*pair))
            pair = closest if loss(*closest) <= BEARABLE else None
        if pair is None:
            break
        groups = [group for group in groups if group not in pair]
        groups.append(pair[0].joined(pair[1]))
    return groups
