"""A network for tests of the GPU's path: it halves the input and puts 17 random planes behind it, 20 classes from 3
channels, by the kernel upsample_concat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.device import Device, DeviceArray, DeviceBuffer, HostBuffer, Kernels, Stream
from rtparse.device.kernels import Compiler
from rtparse.device.network import DeviceNetwork
from rtparse.kernels.launch import upsample_concat
from rtparse.sidecar import Profile

PLANES = 17


class Halving(DeviceNetwork):
    def __init__(self, device: Device, compiler: Compiler, profiles: tuple[Profile, ...], dtype: str) -> None:
        self.profiles = profiles
        self.given_dtype = self.logits_dtype = np.dtype(dtype)
        self._kernels = Kernels(device, compiler)
        self._planes = {profile.size_hw: self._send(device, profile) for profile in profiles}
        self._launches: dict[tuple[Any, ...], Callable[[Stream], None]] = {}

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        return given[0], 3 + PLANES, given[2] // 2, given[3] // 2

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        key = (given.pointer, given.shape, logits.pointer)
        if key not in self._launches:
            count, _, height, width = given.shape
            planes = self._planes[height, width].array
            shapes = [given.shape, (count, *planes.shape[1:])]
            dtype = {"float16": "half", "float32": "float"}[self.given_dtype.name]
            launch = upsample_concat(dtype, "linear", [given.pointer, planes.pointer], shapes, logits.pointer)
            self._launches[key] = self._kernels.prepare(launch)
        self._launches[key](stream)

    def close(self) -> None:
        self._kernels.close()
        for planes in self._planes.values():
            planes.close()

    def _send(self, device: Device, profile: Profile) -> DeviceBuffer:
        planes = random_planes(profile.size_hw[0] // 2, profile.size_hw[1] // 2)
        shape = (profile.batch[2], *planes.shape)
        kept = DeviceBuffer(device, shape, self.given_dtype)
        with Stream(device) as stream, HostBuffer(device, shape, self.given_dtype) as host:
            host.array[:] = planes
            stream.upload(kept.array, host.array)
            stream.synchronize()
        return kept


def logits_of(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same by NumPy, in float32."""
    count, channels, height, width = batch.shape
    halved = batch.reshape(count, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    planes = random_planes(height // 2, width // 2)
    return np.concatenate([halved, np.broadcast_to(planes, (count, *planes.shape))], 1)


def random_planes(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.5, (PLANES, height, width)).astype(np.float32)
