"""A running mean of logits that stays on the GPU and starts anew at scene cuts, which the GPU finds itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.kernels import Kernels
from rtparse.device.memory import DeviceBuffer
from rtparse.device.seats import TYPES
from rtparse.device.streams import Stream
from rtparse.kernels.frames import THUMBNAIL_ROWS, running_mean, scene_cut, thumbnail
from rtparse.smoothing import THUMBNAIL_SIDE


class RunningMean(Closing):
    """`rtparse.smoothing.Smoother` for one source whose network input has one size. Not thread-safe.

    array: (classes, h, w) float32, the mean as of the last update; it changes with the next one.
    """

    def __init__(self, kernels: Kernels, strength: float, shape: tuple[int, ...]) -> None:
        """strength: above 0, below 1. shape: of a frame's logits, (classes, h, w). Raises DeviceMemoryError."""
        self._kernels = kernels
        self._strength = strength
        self._updates: dict[tuple[int, int], _Update] = {}
        with ExitStack() as stack:
            device = kernels.device
            small = (3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
            self.array = stack.enter_context(DeviceBuffer(device, shape, np.float32)).array
            self._thumbnail, self._before, self._distances = (
                stack.enter_context(DeviceBuffer(device, each, np.float32)).array.pointer
                for each in (small, small, (THUMBNAIL_ROWS,))
            )
            self._closing = stack.pop_all()

    def update(self, stream: Stream, given: DeviceArray, logits: DeviceArray, *, anew: bool) -> None:
        """Put the next frame into the stream's work: its network input (3, H, W) and its logits.

        anew: it is the first one; what the mean holds is not looked at. Launches are prepared once for each address.
        """
        key = (given.pointer, logits.pointer)
        if key not in self._updates:
            self._updates[key] = self._prepare(given, logits)
        update = self._updates[key]
        update.thumbnail(stream)
        update.cut(stream)
        (update.start if anew else update.go_on)(stream)

    def close(self) -> None:
        self._closing.close()

    def _prepare(self, given: DeviceArray, logits: DeviceArray) -> _Update:
        dtype, count = TYPES[logits.dtype], self.array.nbytes // 4
        small, before, distances = self._thumbnail, self._before, self._distances
        launches = (
            thumbnail(TYPES[given.dtype], given.pointer, (given.shape[1], given.shape[2]), small),
            scene_cut(small, before, distances),
            running_mean(dtype, logits.pointer, self.array.pointer, count, 0),
            running_mean(dtype, logits.pointer, self.array.pointer, count, self._strength, distances),
        )
        return _Update(*map(self._kernels.prepare, launches))


@dataclass(frozen=True, slots=True, eq=False)
class _Update:
    """What is launched for a frame: `start` for the first, `go_on` for the others."""

    thumbnail: Callable[[Stream], None]
    cut: Callable[[Stream], None]
    start: Callable[[Stream], None]
    go_on: Callable[[Stream], None]
