"""From the people that were seen in a frame to the parts of the next one that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from rtparse.regions.crop import KNOWN_PROBABILITY, Crop, CropShape
from rtparse.regions.grouping import grouped
from rtparse.regions.region import Region
from rtparse.regions.search import FOUND_PROBABILITY, search_parts, smallest_person

GAIN = 1.25
KEPT_GAIN = 1.1
"""A crop must show people so much larger than the whole frame does; one that is there is kept down to the second."""


@dataclass(frozen=True)
class Look:
    """A part of a frame that goes through the network.

    pasted: whether its labels become the frame's; otherwise it serves to find people only, or to make sure of them.
    crop: whether it follows people, and has the shape of crops; otherwise that of the whole frame.
    """

    part: Region
    pasted: bool
    crop: bool

    @property
    def probability(self) -> float:
        """How sure the network must be of people in it."""
        return KNOWN_PROBABILITY if self.crop else FOUND_PROBABILITY


class Tracker:
    """Of one source, whose frames have one size. For each frame in order: `looks`, then `see`. Not thread-safe.

    People in crops are looked for in these. The whole frame is looked at too, and its labels count outside the crops,
    while nobody is followed, while someone is so near that a crop would gain nothing, and for a period after more
    people were seen than there are crops. Beside these one part of `search_parts` is searched in each frame, so each
    place is seen once in `period` frames.
    """

    def __init__(self, shape: CropShape, whole_hw: tuple[int, int], most: int) -> None:
        """whole_hw: of the network's input for whole frames. most: crops in one frame."""
        parts = search_parts(shape.frame_hw, whole_hw)
        self.period = len(parts)
        self.smallest = smallest_person(shape.frame_hw) / 2
        self._shape = shape
        self._whole = parts[0]
        self._whole_zoom = min(whole_hw[0] / shape.frame_hw[0], whole_hw[1] / shape.frame_hw[1])
        self._most = most
        self._parts = cycle(parts[1:] + parts[:1])
        self._crops: list[Crop] = []
        self._whole_for = 0
        self._looks: list[Look] = []

    def looks(self) -> list[Look]:
        """Of the next frame. Those that are pasted come from far to near: the nearer cover the others."""
        looks = []
        if self._whole_for or not any(crop.sure for crop in self._crops):
            looks.append(Look(self._whole, pasted=True, crop=False))
        searched = next(self._parts)
        if searched != self._whole or not looks:
            looks.append(Look(searched, pasted=False, crop=False))
        # On level ground the feet of those who are nearer are lower in the picture.
        self._crops.sort(key=lambda crop: (crop.box.bottom, crop.box.height))
        looks += [Look(crop.region, pasted=crop.sure, crop=True) for crop in self._crops]
        self._looks = looks
        return looks

    def see(self, found: Sequence[Sequence[Region]]) -> None:
        """Boxes of people (`find_people`) in each of the looks that were asked for, in their order."""
        crops = [look.part for look in self._looks if look.crop]
        boxes: list[Region] = []
        for look, people in zip(self._looks, found, strict=True):
            # What lies in a crop is the crop's to judge: it sees it largest.
            boxes += [box for box in people if look.crop or not any(2 * box.shared(c) > box.area for c in crops)]
        groups = grouped(boxes, self._shape, self._most, self._together)
        before, after, new = list(self._crops), [], []
        self._whole_for = max(self._whole_for - 1, 0)
        for group in sorted(groups, key=lambda group: -group.area):
            crop = max(before, key=lambda crop: _overlap(crop.box, group), default=None)
            if crop is not None and _overlap(crop.box, group) == 0:
                crop = None
            if self._shape.zoom(group) < (KEPT_GAIN if crop else GAIN) * self._whole_zoom:
                self._whole_for = max(self._whole_for, 1)
            elif crop is None:
                new.append(Crop.around(group, self._shape))
            else:
                before.remove(crop)
                after.append(crop.moved(group))
        for crop in before:
            # Whoever is in a group by now was not lost.
            if not any(2 * crop.box.shared(group) > crop.box.area for group in groups):
                missing = crop.missing()
                after += [missing] if missing else []
        # Who is followed stays so; of the others the largest.
        if len(after) + len(new) > self._most:
            self._whole_for = self.period
        self._crops = (after + new)[: self._most]

    def _together(self, a: Region, b: Region) -> bool:
        return any(crop.box.shared(a) and crop.box.shared(b) for crop in self._crops)


def _overlap(a: Region, b: Region) -> float:
    """Intersection over union."""
    shared = a.shared(b)
    return shared / (a.area + b.area - shared)
