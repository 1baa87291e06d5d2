"""A rectangle of a frame, the value that the rooms of this package hand on."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from operator import index

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError

Roi = str | tuple[int, int, int, int]
"""A user's region: "x,y,width,height" or the four numbers, in pixels of the frame."""


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels [x, x + width) by [y, y + height) of a frame, x to the right and y down from its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, roi: Roi) -> Region:
        """What a user asked for. Raises UsageError for anything but a corner from 0 and a size from 1."""
        try:
            x, y, width, height = map(int, roi.split(",")) if isinstance(roi, str) else map(index, roi)
        except (ValueError, TypeError):
            x = y = width = height = -1
        if min(x, y) < 0 or min(width, height) < 1:
            raise UsageError(
                f"got the region {roi!r}",
                "expected x,y,width,height in pixels, such as 320,0,640,720: a corner from 0, a size from 1",
            )
        return cls(x, y, width, height)

    @classmethod
    def whole(cls, frame_hw: tuple[int, int]) -> Region:
        """All of a frame."""
        return cls(0, 0, frame_hw[1], frame_hw[0])

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    def inside(self, frame_hw: tuple[int, int]) -> Region:
        """The region itself. Raises UsageError where it does not lie in a frame (height, width)."""
        height, width = frame_hw
        if self.right > width or self.bottom > height:
            raise UsageError(
                f"the region {self} ends at {self.right},{self.bottom}, the frame has {width}x{height} pixels",
                "expected x + width and y + height within the frame",
            )
        return self

    def between(self, left: float, top: float, right: float, bottom: float) -> Region | None:
        """The part of the region between such lines, counted from its own corner; None where there is none."""
        x, y = self.x + max(floor(left), 0), self.y + max(floor(top), 0)
        width, height = min(self.x + ceil(right), self.right) - x, min(self.y + ceil(bottom), self.bottom) - y
        return Region(x, y, width, height) if min(width, height) > 0 else None

    def shared(self, other: Region) -> int:
        """Pixels that lie in both."""
        across = min(self.right, other.right) - max(self.x, other.x)
        down = min(self.bottom, other.bottom) - max(self.y, other.y)
        return max(across, 0) * max(down, 0)

    def joined(self, other: Region) -> Region:
        """The smallest region that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Region(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def grown(self, by: float) -> Region:
        """Larger by so many pixels on each side; may reach outside the frame."""
        pixels = ceil(by)
        return Region(self.x - pixels, self.y - pixels, self.width + 2 * pixels, self.height + 2 * pixels)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of the region's pixels of an image (H, W) or (H, W, 3)."""
        return image[self.slices]

    def paste(self, labels: NDArray[np.uint8], frame_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """Labels of the region (height, width) in a frame (H, W), with 0 around them: a new array."""
        around = np.zeros(frame_hw, np.uint8)
        around[self.slices] = labels
        return around
