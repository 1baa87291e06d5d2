"""A crop that follows someone, or several who stand close: padded, of the network's shape, in smooth motion."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rtparse.regions.region import Region

PADDING = 1.5
"""Height of a crop in heights of its people; beside them lies as much. Measured: 1.2 to 2 give the same mIoU within
0.02, and room is needed for motion."""

MOST_ZOOM = 3.0
"""How far people are enlarged at most: past that the network gains nothing (measured on people of 36 pixels)."""

EASE = 0.5
"""Share of the way to where a crop should be that it goes in a frame."""

SHRINK = 0.1
"""The same for its size where that is too large: people who walk and wave must not pump it."""

MARGIN = 0.1
"""What stays free around people at least, in heights, wherever the crop is on its way."""

KNOWN_PROBABILITY = 0.5
"""How sure the network must be of someone in a crop: less than in the search, for there was someone before."""

PATIENCE = 3
"""Frames in which nobody is seen in a crop before it is given up."""


@dataclass(frozen=True)
class CropShape:
    """What all crops of a stream share.

    frame_hw: of the frames. network_hw: of the network's input for crops, whose aspect ratio they have.
    """

    frame_hw: tuple[int, int]
    network_hw: tuple[int, int]

    @property
    def aspect(self) -> float:
        return self.network_hw[1] / self.network_hw[0]

    def height(self, box: Region) -> float:
        """The height of the crop around people in a box, in pixels of the frame."""
        tall, wide = PADDING * box.height, box.width + (PADDING - 1) * box.height
        return max(tall, wide / self.aspect, self.network_hw[0] / MOST_ZOOM)

    def zoom(self, box: Region) -> float:
        """Pixels of the network's input that a pixel of people in a box gets."""
        return self.network_hw[0] / self.height(box)


@dataclass(frozen=True)
class Crop:
    """box: the people, where they were seen last. x, y, height: middle and height of what is cropped, in pixels.

    missed: frames since then in which nobody was seen; PATIENCE also where nobody was seen in it yet.
    """

    shape: CropShape
    box: Region
    x: float
    y: float
    height: float
    missed: int

    @classmethod
    def around(cls, box: Region, shape: CropShape) -> Crop:
        """Of people who were not followed before. If the crop does not show them it is given up at once."""
        return cls(shape, box, *_middle(box), shape.height(box), PATIENCE)

    def moved(self, box: Region) -> Crop:
        """After the next frame, in which they were seen in `box`."""
        height = self.shape.height(box)
        height = self.height + (EASE if height > self.height else SHRINK) * (height - self.height)
        margin = MARGIN * box.height
        height = max(height, box.height + 2 * margin, (box.width + 2 * margin) / self.shape.aspect)
        x, y = _middle(box)
        free_x = (height * self.shape.aspect - box.width) / 2 - margin
        free_y = (height - box.height) / 2 - margin
        # On its way, but no further behind than leaves the margin.
        x += min(max((1 - EASE) * (self.x - x), -free_x), free_x)
        y += min(max((1 - EASE) * (self.y - y), -free_y), free_y)
        return Crop(self.shape, box, x, y, height, 0)

    def missing(self) -> Crop | None:
        """After the next frame, in which they were not seen; None where it is given up."""
        return replace(self, missed=self.missed + 1) if self.missed < PATIENCE else None

    @property
    def sure(self) -> bool:
        """Whether its labels count: someone was seen in it, and not long ago."""
        return self.missed < PATIENCE

    @property
    def region(self) -> Region:
        """Its pixels: moved into the frame where it reaches out, and cut where it is larger."""
        (frame_height, frame_width), width = self.shape.frame_hw, self.height * self.shape.aspect
        across, down = min(round(width), frame_width), min(round(self.height), frame_height)
        x = min(max(round(self.x - across / 2), 0), frame_width - across)
        y = min(max(round(self.y - down / 2), 0), frame_height - down)
        return Region(x, y, across, down)


def _middle(box: Region) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
