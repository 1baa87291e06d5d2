"""What computes logits on the GPU, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.streams import Stream
from rtparse.sidecar import Profile


class DeviceNetwork(Closing, Protocol):
    """A network that reads its input and writes its logits in the GPU's memory.

    profiles: the inputs that it takes, one for each (height, width).
    given_dtype, logits_dtype: float16 or float32.
    recordable: whether what `enqueue` does may be recorded as a graph and replayed.
    """

    profiles: tuple[Profile, ...]
    given_dtype: np.dtype[Any]
    logits_dtype: np.dtype[Any]
    recordable: bool = True

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        """(N, classes, h, w) for an input (N, 3, H, W) of a profile."""
        ...

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        """Put one run into the stream's work; both arrays are contiguous and stay until it is done.

        Neither allocates nor waits once it has run with that shape. One thread at a time calls it, and one run ends
        before the next begins. Raises EngineError.
        """
        ...


def largest(network: DeviceNetwork, profiles: Iterable[Profile]) -> tuple[int, int]:
    """Elements of the largest input and of the largest logits of any profile."""
    shapes = [(profile.batch[2], 3, *profile.size_hw) for profile in profiles]
    return max(map(math.prod, shapes)), max(math.prod(network.logits_shape(shape)) for shape in shapes)


def halved(profile: Profile) -> Profile:
    """The profile for half of its largest batch, but no fewer than its fewest: where memory is short."""
    fewest, usual, most = profile.batch
    most = max(fewest, most // 2)
    return replace(profile, batch=(fewest, min(usual, most), most))
