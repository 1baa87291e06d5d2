"""The result for one frame: a label for every pixel, and what is commonly asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from rtparse import effects, render
from rtparse._cv import cv2
from rtparse.classes import CLASSES, PALETTE_RGB, class_ids
from rtparse.errors import UsageError
from rtparse.frame import Frame


class Rle(TypedDict):
    """A mask in COCO's compressed run-length form, ready for JSON and for pycocotools."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True, eq=False)
class Parsing:
    """A frame and the class of each of its pixels.

    frame: the frame that was parsed.
    labels: (H, W) uint8, ids into `classes`, of the frame's own size. Owned by the parsing: nothing writes into it
        later, and whoever holds the parsing may keep it.
    classes: names by id, 64 at most; 0 is the background.
    palette_rgb: (classes, 3) uint8 RGB, the colours of the views.

    Every method returns a new object that belongs to the caller. Thread-safe.
    """

    frame: Frame
    labels: NDArray[np.uint8]
    classes: tuple[str, ...] = CLASSES
    palette_rgb: NDArray[np.uint8] = field(default_factory=lambda: PALETTE_RGB)

    def ids(self, names: Iterable[str]) -> tuple[int, ...]:
        """Ids of class names, in the order given. Raises UsageError for an unknown one."""
        return class_ids(names, self.classes)

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """(H, W) bool: the pixels of any of these classes. Raises UsageError for an unknown name, or for none."""
        if not names:
            raise UsageError("mask() was called without a class", f"choose from: {', '.join(self.classes)}")
        wanted = np.zeros(256, np.uint8)
        wanted[list(self.ids(names))] = 1
        return cv2.LUT(self.labels, wanted).view(np.bool_)

    def shares(self) -> NDArray[np.float64]:
        """(classes,) float64: the share of the frame's pixels, 0..1, of each class, in view or not."""
        bins = len(self.classes)
        counts = cv2.calcHist([self.labels], [0], None, [bins], [0, bins])
        return counts.ravel().astype(np.float64) / self.labels.size

    def share(self) -> dict[str, float]:
        """Share of the frame's pixels, 0..1, of every class in view (the background too), ordered by id."""
        shares = self.shares()
        return {self.classes[i]: float(shares[i]) for i in np.flatnonzero(shares)}

    def boxes(self) -> dict[str, tuple[int, int, int, int]]:
        """The smallest box (x, y, width, height) in pixels around each class in view, ordered by id; no background."""
        x, y, width, height = cv2.boundingRect(self.labels)
        people = self.labels[y : y + height, x : x + width]
        # One pass for all classes: each pixel becomes one bit, rows and columns gather the bits they meet.
        bits = np.left_shift(np.uint64(1), people, dtype=np.uint64)
        columns, rows = np.bitwise_or.reduce(bits, 0), np.bitwise_or.reduce(bits, 1)
        found: dict[str, tuple[int, int, int, int]] = {}
        for i in range(1, len(self.classes)):
            across, down = (np.flatnonzero(side & np.uint64(1 << i)) for side in (columns, rows))
            if len(across):
                left, top = int(across[0]), int(down[0])
                found[self.classes[i]] = (x + left, y + top, int(across[-1]) - left + 1, int(down[-1]) - top + 1)
        return found

    def rle(self, name: str) -> Rle:
        """The mask of one class in COCO run-length form. Raises UsageError for an unknown name."""
        from pycocotools import mask as coco  # type: ignore[import-untyped, unused-ignore]

        encoded = coco.encode(np.asfortranarray(self.mask(name), dtype=np.uint8))
        return Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode("ascii"))

    def overlay(
        self, alpha: float = 0.5, classes: Iterable[str] | None = None, *, legend: bool = True
    ) -> NDArray[np.uint8]:
        """The frame with the classes coloured over it: (H, W, 3) uint8 BGR.

        alpha: 0 shows the frame alone, 1 flat colours.
        classes: only these; None means all but the background.
        legend: list the classes in view in a corner.
        Raises UsageError for an unknown class or an alpha outside 0..1. See `rtparse.render` for the other views.
        """
        return render.Renderer("overlay", alpha=alpha, classes=classes, legend=legend)(self)

    def picture(self, classes: Iterable[str] | None = None) -> NDArray[np.uint8]:
        """The labels in their palette colours on black: (H, W, 3) uint8 BGR."""
        return render.Renderer("labels", classes=classes, legend=False)(self)

    def cutout(self, classes: Iterable[str] | None = None) -> NDArray[np.uint8]:
        """The frame's own pixels where a class is (any but the background, or one of `classes`), clear elsewhere.

        (H, W, 4) uint8 BGRA, straight alpha, see `rtparse.effects.cutout`; other effects are there too.
        """
        return effects.cutout(self.frame.image, self, classes)
