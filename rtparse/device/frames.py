"""The way of a frame on a GPU: its pixels up, its labels down, and nothing in between comes back to the host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.driver import check_process, forked
from rtparse.device.graphs import Replays
from rtparse.device.kernels import Compiler, Kernels
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.network import DeviceNetwork, halved, largest
from rtparse.device.seats import Passage, Seat, Wanted
from rtparse.device.smoothing import RunningMean
from rtparse.device.streams import Event, Stream
from rtparse.device.surfaces import Surface
from rtparse.errors import DeviceError, DeviceMemoryError, EngineError, UsageError
from rtparse.kernels.frames import blend_palette
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.profiling import nvtx_range

_log = logging.getLogger("rtparse")

Pixels = NDArray[np.uint8] | Surface
"""Of a frame: an image (H, W, 3) uint8 BGR, or a picture that is on the GPU already."""


@dataclass(frozen=True)
class Overlay:
    """The classes coloured over the frame. palette_rgb: (classes, 3) uint8. alpha: weight of the colours, 0..1.

    shown: (classes,) bool, which are drawn; None means all but the background.
    """

    palette_rgb: NDArray[np.uint8]
    alpha: float = 0.5
    shown: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """What came down for a frame: arrays of the caller's, None where it was not asked for.

    labels: (H, W) uint8. overlay: (H, W, 3) uint8 BGR.
    """

    labels: NDArray[np.uint8] | None
    overlay: NDArray[np.uint8] | None


class FramePath(Closing):
    """Frames of any sizes through page-locked memory, a network and the kernels around it.

        pending = path.submit([(image, letterbox)])     # returns at once, waits where `depth` batches are on the way
        (parsed,) = pending.result()                    # waits for this one

    A batch takes one upload, none for surfaces, and at most two downloads a frame, and the host waits for one event.
    The labels are those of `preprocess`, `Engine.infer`, `Smoother` and `Upsampler`, but for ties and the network's own
    rounding.

    Thread-safe: batches are computed in the order in which they were submitted, results may be taken in any order and
    from any thread. Nothing is allocated once the sizes and sources have been seen. It owns the network and closes it.
    """

    def __init__(
        self,
        device: Device,
        network: DeviceNetwork,
        metadata: ModelMetadata,
        *,
        depth: int = 3,
        labels: bool = True,
        overlay: Overlay | None = None,
        smooth: float = 0.0,
        compiler: Compiler = compile_kernel,
    ) -> None:
        """depth: batches on the way at once. 1 is for the lowest latency: one stream, in which nothing waits.

        labels, overlay: what comes down. smooth: strength of a `Smoother` for each source.
        Where memory is short, half of the largest batch is tried once: see `most`. Raises DeviceMemoryError,
        MissingDependencyError without NVRTC, DeviceError.
        """
        self._device = device
        self._network = network
        self._profiles = {profile.size_hw: profile for profile in network.profiles}
        self._halved = False
        self._runs: dict[tuple[int, ...], _Run] = {}
        self._smooth = smooth
        self._means: dict[tuple[int, tuple[int, int]], RunningMean] = {}
        self._going_on: dict[int, tuple[int, int]] = {}  # sources, and the size that their last frame had
        self._lock = Lock()
        self._closed = False
        self._free: SimpleQueue[_Slot | None] = SimpleQueue()
        with ExitStack() as failed, ExitStack() as stack:
            failed.callback(network.close)
            try:
                self._given, self._logits = self._allocate(stack)
            except DeviceMemoryError as error:
                if not self.halve(error):
                    raise
                self._given, self._logits = self._allocate(stack)
            self._compute = stack.enter_context(Stream(device))
            self._up, self._down = (
                (self._compute, self._compute)
                if depth == 1
                else (stack.enter_context(Stream(device)), stack.enter_context(Stream(device)))
            )
            self._kernels = kernels = stack.enter_context(Kernels(device, compiler))
            palette = None
            if overlay is not None:
                table = stack.enter_context(DeviceBuffer(device, (256, 4), np.uint8))
                _send(device, self._compute, table.array, blend_palette(overlay.palette_rgb, overlay.shown))
                palette = table.array.pointer
            wanted = Wanted(labels, palette, overlay.alpha if overlay else 0.0)
            most = max(profile.batch[2] for profile in self._profiles.values())
            self._slots = [stack.enter_context(_Slot(device, kernels, metadata, wanted, most)) for _ in range(depth)]
            stack.callback(network.close)
            self._replays = stack.enter_context(Replays(self._compute, network.recordable))
            self._closing = stack.pop_all()
            failed.pop_all()
        for slot in self._slots:
            self._free.put(slot)

    def most(self, network_hw: tuple[int, int]) -> int:
        """The most frames of a batch; half as many after `halve`."""
        return self._profiles[network_hw].batch[2]

    def halve(self, error: DeviceMemoryError) -> bool:
        """Take half as many frames at once from now on, because of that error; False where that was done before or
        there is nothing to halve."""
        with self._lock:
            fewer = {size: halved(profile) for size, profile in self._profiles.items()}
            if self._halved or fewer == self._profiles:
                return False
            _log.warning("batches are halved: %s", error.message)
            self._halved, self._profiles = True, fewer
            return True

    def submit(self, frames: Sequence[tuple[Pixels, Letterbox]], sources: Sequence[int] = ()) -> Pending:
        """Send a batch on its way; images are copied first and may change afterwards, surfaces are kept until then.

        frames: images (H, W, 3) uint8 BGR of `letterbox.frame_hw`, or surfaces of the same GPU, with letterboxes of one
            `network_hw` of the network's profiles, and no more than `most`.
        sources: where smoothing, which source each frame comes from, 0 for all where left out; those of a source are
            submitted in their order.
        Waits while `depth` batches are on the way whose results were not taken. Raises UsageError for another batch,
        EngineError.
        """
        check_process()
        network_hw = self._check(frames)
        with nvtx_range("wait for a place"):
            slot = self._free.get()
        with self._lock:
            if self._closed or slot is None:
                self._free.put(None)  # for whoever else waits
                raise _closed()
            try:
                with self._device.current():  # once for all that follows
                    passages = self._enqueue(slot, network_hw, frames, sources or (0,) * len(frames))
            except BaseException as error:
                self._settle()
                if isinstance(error, DeviceMemoryError):
                    for seat in slot.seats:
                        seat.close()
                self._free.put(slot)
                raise
        return Pending(slot, passages, self._free.put, [pixels for pixels, _ in frames if isinstance(pixels, Surface)])

    def restart(self, source: int) -> None:
        """Let the running mean of a source start anew with its next frame, because others of its frames went another
        way."""
        with self._lock:
            self._going_on.pop(source, None)

    def close(self) -> None:
        """Wait for what is on the way and free everything. Results that were not taken are lost. In a forked process it
        does nothing."""
        if forked():
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._free.put(None)
        self._settle()
        for slot in self._slots:
            slot.shut()
        for mean in self._means.values():
            mean.close()
        self._closing.close()

    def _allocate(self, stack: ExitStack) -> tuple[DeviceBuffer, DeviceBuffer]:
        """For the largest batch: the network's input and logits."""
        given, logits = largest(self._network, self._profiles.values())
        with ExitStack() as failed:
            made = (
                failed.enter_context(DeviceBuffer(self._device, (given,), self._network.given_dtype)),
                failed.enter_context(DeviceBuffer(self._device, (logits,), self._network.logits_dtype)),
            )
            stack.enter_context(failed.pop_all())
        return made

    def _check(self, frames: Sequence[tuple[Pixels, Letterbox]]) -> tuple[int, int]:
        sizes = {letterbox.network_hw for _, letterbox in frames}
        if len(sizes) != 1 or not sizes <= self._profiles.keys():
            offered = ", ".join("{}x{}".format(*size) for size in self._profiles)
            raise UsageError(f"got frames for network inputs of {sorted(sizes)}", f"expected one of {offered}")
        (network_hw,) = sizes
        most = self.most(network_hw)
        if len(frames) > most:
            raise UsageError(f"got a batch of {len(frames)} frames", f"expected {most} at most")
        for image, letterbox in frames:
            if isinstance(image, Surface):
                if image.size_hw != letterbox.frame_hw:
                    raise UsageError(f"got a surface of {image.size_hw}", f"expected {letterbox.frame_hw}")
            elif image.shape != (*letterbox.frame_hw, 3) or image.dtype != np.uint8:
                raise UsageError(
                    f"got a frame of shape {image.shape} and dtype {image.dtype}",
                    f"expected {(*letterbox.frame_hw, 3)} uint8",
                )
        return network_hw

    def _enqueue(
        self,
        slot: _Slot,
        network_hw: tuple[int, int],
        frames: Sequence[tuple[Pixels, Letterbox]],
        sources: Sequence[int],
    ) -> list[Passage]:
        fewest = self._profiles[network_hw].batch[0]
        if self._halved:
            for seat in slot.seats[max(profile.batch[2] for profile in self._profiles.values()) :]:
                seat.close()  # of larger batches
        run = self._run((max(len(frames), fewest), 3, *network_hw))
        means = [self._mean(source, network_hw, run.logits[0]) for source in sources] if self._smooth else []
        passages = [
            seat.passage(letterbox, given, logits, pixels.frame if isinstance(pixels, Surface) else None)
            for seat, (pixels, letterbox), given, logits in zip(
                slot.seats, frames, run.given, [mean.array for mean in means] or run.logits, strict=False
            )
        ]
        with nvtx_range("upload"):
            for passage, (pixels, _) in zip(passages, frames, strict=True):
                if isinstance(pixels, Surface):
                    self._compute.wait(pixels.ready)
                elif passage.sent is not None and passage.frame is not None:
                    np.copyto(passage.sent, pixels)
                    self._up.upload(passage.frame, passage.sent)
            if any(passage.sent is not None for passage in passages):
                self._order(self._up, self._compute, slot.uploaded)
        with nvtx_range("preprocess"):
            for passage in passages:
                passage.normalize(self._compute)
        with nvtx_range("engine"):
            self._replays.do(run.shape, run.work)
        with nvtx_range("smooth"):
            for source, mean, given, logits in zip(sources, means, run.given, run.logits, strict=False):
                mean.update(self._compute, given, logits, anew=self._going_on.get(source) != network_hw)
                self._going_on[source] = network_hw
        with nvtx_range("postprocess"):
            for passage in passages:
                for launch in passage.finish:
                    launch(self._compute)
        with nvtx_range("download"):
            self._order(self._compute, self._down, slot.computed)
            for passage in passages:
                for target, result in passage.downloads:
                    self._down.download(target, result)
            self._down.record(slot.done)
        return passages

    def _run(self, shape: tuple[int, ...]) -> _Run:
        if shape not in self._runs:
            given = self._given.array.view(shape)
            logits = self._logits.array.view(self._network.logits_shape(shape))

            def work() -> None:
                self._network.enqueue(self._compute, given, logits)

            self._runs[shape] = _Run(
                shape, work, [given[i] for i in range(shape[0])], [logits[i] for i in range(shape[0])]
            )
        return self._runs[shape]

    def _mean(self, source: int, network_hw: tuple[int, int], logits: DeviceArray) -> RunningMean:
        key = (source, network_hw)
        if key not in self._means:
            self._means[key] = RunningMean(self._kernels, self._smooth, logits.shape)
        return self._means[key]

    @staticmethod
    def _order(first: Stream, then: Stream, event: Event) -> None:
        if first is not then:
            first.record(event)
            then.wait(event)

    def _settle(self) -> None:
        """Wait until nothing is on the way; a GPU that was lost has nothing left to wait for."""
        for stream in (self._up, self._compute, self._down):
            with suppress(DeviceError):
                stream.synchronize()


class Pending:
    """A batch on its way. Thread-safe."""

    def __init__(
        self, slot: _Slot, passages: list[Passage], release: Callable[[_Slot], None], surfaces: list[Surface]
    ) -> None:
        self._slot = slot
        self._surfaces = surfaces  # which the GPU reads until the result is there
        self._passages: list[Passage] | None = passages
        self._release = release
        self._lock = Lock()

    def result(self) -> list[Parsed]:
        """Wait for it: what came down, in the order of the frames. Once only.

        Raises DeviceError where the GPU failed or the process was forked, EngineError where the path was closed.
        """
        check_process()
        with self._lock:
            passages, self._passages = self._passages, None
            if passages is None:
                raise UsageError("the result was taken already", "keep it")
            try:
                return self._slot.take(passages)
            finally:
                self._surfaces.clear()
                self._release(self._slot)

    def __del__(self) -> None:
        if self._passages is not None:  # nobody took it: its place is free once its work is done
            with suppress(EngineError):
                self.result()


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """The network at one shape (N, 3, H, W): how it is enqueued, and where each sample's input and logits lie."""

    shape: tuple[int, ...]
    work: Callable[[], None]
    given: list[DeviceArray]
    logits: list[DeviceArray]


class _Slot(Closing):
    """One batch on its way: a seat for each frame, and the events that it passes."""

    def __init__(self, device: Device, kernels: Kernels, metadata: ModelMetadata, wanted: Wanted, most: int) -> None:
        self._lock = Lock()
        self._shut = False
        with ExitStack() as stack:
            self.uploaded, self.computed, self.done = (stack.enter_context(Event(device)) for _ in range(3))
            self.seats = [stack.enter_context(Seat(kernels, metadata, wanted)) for _ in range(most)]
            self._closing = stack.pop_all()

    def take(self, passages: list[Passage]) -> list[Parsed]:
        """Wait for the batch and copy what came down."""
        with self._lock:
            if self._shut:
                raise _closed()
            with nvtx_range("wait for results"):
                self.done.synchronize()
            return [Parsed(_copy(passage.labels), _copy(passage.overlay)) for passage in passages]

    def shut(self) -> None:
        """From now on nothing is taken; who is taking has ended."""
        with self._lock:
            self._shut = True

    def close(self) -> None:
        self._closing.close()


def _copy(array: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    return None if array is None else array.copy()


def _closed() -> EngineError:
    return EngineError("the engine was closed", "open it again")


def _send(device: Device, stream: Stream, target: DeviceArray, values: NDArray[np.uint8]) -> None:
    with HostBuffer(device, values.shape, values.dtype) as host:
        host.array[:] = values
        stream.upload(target, host.array)
        stream.synchronize()
