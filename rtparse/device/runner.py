"""Batches of the host through a network of the GPU."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.driver import check_process, forked
from rtparse.device.graphs import Replays
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.network import DeviceNetwork, halved, largest
from rtparse.device.streams import Stream
from rtparse.errors import DeviceMemoryError, EngineError
from rtparse.sidecar import Profile

_log = logging.getLogger("rtparse")


class Runner(Closing):
    """Copies a batch up, runs the network and copies the logits down: one batch at a time, through memory kept for it.

    It owns the network and closes it. Calls from several threads take turns.
    """

    def __init__(self, device: Device, network: DeviceNetwork) -> None:
        """Raises DeviceMemoryError where there is no room for the largest batch of the profiles, nor for half of it."""
        self._network = network
        self._lock = Lock()
        self._closed = False
        self._profiles = {profile.size_hw: profile for profile in network.profiles}
        try:
            self._memory = self._allocate(device)
        except BaseException:
            network.close()
            raise
        self._replays = Replays(self._memory.stream, network.recordable)
        self._closing = ExitStack()
        for each in (self._memory, network, self._replays):  # the last is freed first
            self._closing.callback(each.close)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) float32 of a profile's size to logits (N, classes, h, w) float32, a new array of the caller's.

        A batch of more than the profile's most is split, one of fewer than its fewest is filled up. Raises EngineError.
        """
        check_process()
        fewest, _, most = self._profiles[batch.shape[2], batch.shape[3]].batch
        logits = [self._run(batch[first : first + most], fewest) for first in range(0, len(batch), most)]
        return np.concatenate(logits) if len(logits) > 1 else logits[0]

    def close(self) -> None:
        """After the run in progress: free graphs, then the network, then the memory. Nothing in a forked process."""
        if forked():
            return
        with self._lock:
            self._closed = True
            self._closing.close()

    def _allocate(self, device: Device) -> _Memory:
        try:
            return _Memory(device, self._network, self._profiles.values())
        except DeviceMemoryError as error:
            _log.warning("batches are halved: %s", error.message)
            self._profiles = {size: halved(profile) for size, profile in self._profiles.items()}
            return _Memory(device, self._network, self._profiles.values())

    def _run(self, batch: NDArray[np.float32], fewest: int) -> NDArray[np.float32]:
        shape = (max(len(batch), fewest), *batch.shape[1:])
        with self._lock:
            memory = self._memory
            if self._closed:
                raise EngineError("the engine was closed", "open it again")
            given, logits = memory.views(shape)
            np.copyto(given.host[: len(batch)], batch, casting="same_kind")

            def work() -> None:
                memory.stream.upload(given.device, given.host)
                self._network.enqueue(memory.stream, given.device, logits.device)
                memory.stream.download(logits.host, logits.device)

            self._replays.do(shape, work)
            memory.stream.synchronize()
            return logits.host[: len(batch)].astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Place:
    """One array in two places. host: page-locked."""

    host: NDArray[Any]
    device: DeviceArray


class _Memory(Closing):
    """A stream, and room for the largest input and its logits on both sides."""

    def __init__(self, device: Device, network: DeviceNetwork, profiles: Iterable[Profile]) -> None:
        self._network = network
        given, logits = largest(network, profiles)
        self._views: dict[tuple[int, ...], tuple[_Place, _Place]] = {}
        with ExitStack() as stack:
            self.stream = stack.enter_context(Stream(device))
            self._given = (
                stack.enter_context(HostBuffer(device, (given,), network.given_dtype)),
                stack.enter_context(DeviceBuffer(device, (given,), network.given_dtype)),
            )
            self._logits = (
                stack.enter_context(HostBuffer(device, (logits,), network.logits_dtype)),
                stack.enter_context(DeviceBuffer(device, (logits,), network.logits_dtype)),
            )
            self._closing = stack.pop_all()

    def views(self, shape: tuple[int, ...]) -> tuple[_Place, _Place]:
        """The places of an input (N, 3, H, W) and of its logits, the same ones each time."""
        if shape not in self._views:
            self._views[shape] = (
                _place(*self._given, shape),
                _place(*self._logits, self._network.logits_shape(shape)),
            )
        return self._views[shape]

    def close(self) -> None:
        self._closing.close()


def _place(host: HostBuffer, device: DeviceBuffer, shape: tuple[int, ...]) -> _Place:
    return _Place(host.array[: math.prod(shape)].reshape(shape), device.array.view(shape))
