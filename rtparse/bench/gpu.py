"""What the GPU itself takes for its parts of the work: the bare network, copies, and every kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from rtparse.bench.report import GpuReport, KernelSpeed
from rtparse.closing import Closing
from rtparse.device import DeviceArray, DeviceBuffer, Event, Graph, HostBuffer, Kernels, Stream
from rtparse.device.graphs import Replays
from rtparse.device.kernels import Compiler
from rtparse.device.network import DeviceNetwork
from rtparse.device.seats import TYPES
from rtparse.engines.base import FrameEngine
from rtparse.kernels.workloads import Sizes, workloads
from rtparse.preprocess import Letterbox

ENOUGH = 0.005
"""Seconds of work between two events: by far more than their clock's step."""
MOST = 100
"""Runs between two events."""
LARGE = 2**27
"""Bytes of the large copy: more than a GPU's cache holds."""


class GpuBench(Closing):
    """Times of one engine's GPU at the size of one kind of frame, in rounds. Not thread-safe."""

    def __init__(self, engine: FrameEngine, letterbox: Letterbox, compiler: Compiler) -> None:
        """engine: outlives this. compiler: as for `FramePath`. Raises as `FrameEngine.frame_path` does."""
        self._moved: dict[str, int] = {}
        self._networks: dict[str, Callable[[], None]] = {}
        self._works: dict[str, Callable[[], None]] = {}
        with ExitStack() as stack:
            self._device, anew = engine.device_network(letterbox.network_hw, graphs=False)
            stack.enter_context(anew)
            _, again = engine.device_network(letterbox.network_hw)
            stack.enter_context(again)
            self._stream = stack.enter_context(Stream(self._device))
            self._start, self._end = (stack.enter_context(Event(self._device, timed=True)) for _ in range(2))
            self._recordable = again.recordable
            self._replays = stack.enter_context(Replays(self._stream, again.recordable))
            logits_shape = self._add_networks(stack, anew, again)
            self._add_copies(stack, letterbox.frame_hw)
            sizes = Sizes(letterbox, logits_shape, TYPES[anew.given_dtype], TYPES[anew.logits_dtype])
            kernels = stack.enter_context(Kernels(self._device, compiler))
            self._kernels = self._add_kernels(stack, kernels, sizes)
            self._closing = stack.pop_all()

    def round(self) -> dict[str, float]:
        """Seconds of each part by its name, each of many runs one after another."""
        times = {name: self._each(work) for name, work in self._networks.items()}
        return times | {name: self._recorded(work) for name, work in self._works.items()}

    def report(self, rounds: Sequence[dict[str, float]]) -> GpuReport:
        """The medians of what `round` returned."""
        times = {name: float(np.median([each[name] for each in rounds])) for name in rounds[0]}
        rates = {name: moved / times[name] / 1e9 for name, moved in self._moved.items()}
        replayed = not self._recordable or self._replays.recorded("replayed")
        version = self._device.driver
        return GpuReport(
            gpu=self._device.name,
            compute_capability="{}.{}".format(*self._device.compute_capability),
            driver=f"{version // 1000}.{version % 1000 // 10}",
            batch=self._batch,
            engine_ms=times["anew"] * 1000,
            engine_graph_ms=times["replayed"] * 1000 if replayed else None,
            upload_gbps=rates["upload"],
            download_gbps=rates["download"],
            copy_gbps=rates["copy"],
            kernels={
                name: KernelSpeed(times[name] * 1e6, rates[name], times[f"copy for {name}"] / times[name])
                for name in self._kernels
            },
        )

    def close(self) -> None:
        self._closing.close()

    def _add_networks(self, stack: ExitStack, anew: DeviceNetwork, again: DeviceNetwork) -> tuple[int, int, int]:
        """Returns the shape of a frame's logits."""
        profile = anew.profiles[-1]
        self._batch = profile.batch[0]
        shape = (self._batch, 3, *profile.size_hw)
        given = stack.enter_context(DeviceBuffer(self._device, shape, anew.given_dtype)).array
        logits = stack.enter_context(DeviceBuffer(self._device, anew.logits_shape(shape), anew.logits_dtype)).array
        self._fill(given)

        def launch() -> None:
            anew.enqueue(self._stream, given, logits)

        def work() -> None:
            again.enqueue(self._stream, given, logits)

        self._networks = {"anew": launch, "replayed": lambda: self._replays.do("replayed", work)}
        classes, rows, columns = logits.shape[1:]
        return classes, rows, columns

    def _add_copies(self, stack: ExitStack, frame_hw: tuple[int, int]) -> None:
        stream, (height, width) = self._stream, frame_hw
        frame, labels = (
            (
                stack.enter_context(HostBuffer(self._device, shape, np.uint8)).array,
                stack.enter_context(DeviceBuffer(self._device, shape, np.uint8)).array,
            )
            for shape in ((height, width, 3), (height, width))
        )
        self._add("upload", lambda: stream.upload(frame[1], frame[0]), frame[1].nbytes)
        self._add("download", lambda: stream.download(labels[0], labels[1]), labels[1].nbytes)
        self._add_copy(stack, "copy", 2 * LARGE)

    def _add_kernels(self, stack: ExitStack, kernels: Kernels, sizes: Sizes) -> list[str]:
        names = []
        for each in workloads(sizes):
            arrays = [stack.enter_context(DeviceBuffer(self._device, (size,), np.uint8)).array for size in each.memory]
            for array in arrays:
                self._fill(array)
            launch = each.launch(*(array.pointer for array in arrays))
            prepared = kernels.prepare(launch)
            self._add(launch.entry, partial(prepared, self._stream), each.moved)
            self._add_copy(stack, f"copy for {launch.entry}", each.moved)
            names.append(launch.entry)
        return names

    def _add_copy(self, stack: ExitStack, name: str, moved: int) -> None:
        """A copy that reads one half of so many bytes and writes the other."""
        source, target = (
            stack.enter_context(DeviceBuffer(self._device, (moved // 2,), np.uint8)).array for _ in range(2)
        )
        self._add(name, lambda: self._stream.copy(target, source), moved)

    def _add(self, name: str, work: Callable[[], None], moved: int) -> None:
        self._works[name], self._moved[name] = work, moved

    def _fill(self, array: DeviceArray) -> None:
        """At random: where all pixels were alike, a kernel could leave some out."""
        random = np.random.default_rng(0)
        with HostBuffer(self._device, array.shape, array.dtype) as host:
            host.array[:] = (
                random.integers(0, 256, array.shape) if array.dtype == np.uint8 else random.normal(0, 1, array.shape)
            )
            self._stream.upload(array, host.array)
            self._stream.synchronize()

    def _each(self, work: Callable[[], None]) -> float:
        work()  # what is made at the first run is not timed
        count = self._count(work)
        return self._between(lambda: _repeat(work, count)) / count

    def _recorded(self, work: Callable[[], None]) -> float:
        """All runs as one graph, so that the host has no part in it."""
        work()
        count = self._count(work)
        with Graph(self._stream, lambda: _repeat(work, count)) as graph:
            graph.launch(self._stream)
            return self._between(lambda: graph.launch(self._stream)) / count

    def _count(self, work: Callable[[], None]) -> int:
        return min(MOST, max(1, round(ENOUGH / max(self._between(work), ENOUGH / MOST))))

    def _between(self, work: Callable[[], object]) -> float:
        """Seconds between two events before and after the work."""
        self._stream.record(self._start)
        work()
        self._stream.record(self._end)
        self._end.synchronize()
        return self._end.seconds_since(self._start)


def _repeat(work: Callable[[], None], count: int) -> None:
    for _ in range(count):
        work()
