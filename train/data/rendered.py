"""Rendered people as an endless dataset."""

from __future__ import annotations

from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rtparse.train.compose import Pair
from rtparse.train.data.dataset import Dataset
from rtparse.train.synthetic.scene import render_scene

SIZES_HW = ((256, 192), (224, 224), (192, 256), (176, 304))
"""Upright photos, and the frames of cameras and films."""

ENDLESS = 2**31 - 1


class RenderedPeople(Dataset):
    """Scenes of 0 to 4 people; the i-th is a function of the seed and i alone. Nothing is kept.

    Its length is a large constant; a slice is as long as it says, so `RenderedPeople(0)[:200]` is a finite set.
    """

    def __init__(self, seed: int, numbers: range = range(ENDLESS)) -> None:
        self.name = "synthetic"
        self._seed = seed
        self._numbers = numbers

    def paths(self, index: int) -> tuple[Path, ...]:
        return ()

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width of a scene where nothing else is asked for."""
        # A generator of its own, so that a scene draws the same at every size.
        return SIZES_HW[int(np.random.default_rng((self._seed, self._numbers[index], 1)).integers(len(SIZES_HW)))]

    def draw(self, index: int, size_hw: tuple[int, int], background: NDArray[np.uint8] | None = None) -> Pair:
        """The scene of a number at a size, before a photo without people, (h, w, 3) uint8 BGR, or a painted room."""
        rng = np.random.default_rng((self._seed, self._numbers[index]))
        scene = render_scene(rng, size_hw, background)
        return Pair(scene.image_bgr, scene.labels)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Pair | Dataset:
        if isinstance(index, slice):
            return RenderedPeople(self._seed, self._numbers[index])
        return self.draw(index, self.size_hw(index))
