"""Which parts of a frame are looked at, one after the other, to find people who are not known yet."""

from __future__ import annotations

from itertools import product
from math import ceil

from rtparse.regions.region import Region

SMALLEST_SHARE = 0.05
SMALLEST_PIXELS = 24
"""The smallest person who is sought: this share of the frame's height, but no fewer pixels."""

FOUND_PIXELS = 22
"""Pixels of the network's input that someone needs to be found.

Measured with the built-in model on 40 composed frames: 0.80 of people of 22 pixels are found in one look, 0.60 of 18,
0.18 of 14.
"""

FOUND_PROBABILITY = 0.7
"""How sure the network must be of someone who is found, so that walls get no crops. Measured in the same frames: 0.3
false finds in a part; at 0.5, 0.85."""


def smallest_person(frame_hw: tuple[int, int]) -> float:
    """The height in pixels of the smallest person who is sought in a frame of that size."""
    return max(SMALLEST_SHARE * frame_hw[0], SMALLEST_PIXELS)


def search_parts(frame_hw: tuple[int, int], network_hw: tuple[int, int]) -> list[Region]:
    """The whole frame, and, where that shows the smallest person too small, parts of one size that cover it.

    network_hw: size of the network's input for frames of that size. Neighbours overlap by about the smallest person,
    who is therefore whole in one of them.
    """
    whole = Region.whole(frame_hw)
    smallest = smallest_person(frame_hw)
    zoom = FOUND_PIXELS / smallest
    rows, columns = (_cut(frame, network / zoom, smallest) for frame, network in zip(frame_hw, network_hw, strict=True))
    if len(rows) * len(columns) == 1:
        return [whole]
    return [whole, *(Region(x, y, width, height) for (y, height), (x, width) in product(rows, columns))]


def _cut(frame: int, part: float, overlap: float) -> list[tuple[int, int]]:
    """First pixel and length of equally long parts, evenly placed."""
    if part >= frame:
        return [(0, frame)]
    overlap = min(overlap, part / 4)
    count = ceil((frame - overlap) / (part - overlap))
    length = min(ceil((frame + (count - 1) * overlap) / count), frame)
    return [(round(i * (frame - length) / (count - 1)), length) for i in range(count)]
