"""Streams, whose work is done in order, and events, by which they and the host wait for each other."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.driver import bindings, pycuda_driver
from rtparse.device.owned import Owned
from rtparse.errors import UsageError


class Event(Owned):
    """A place in a stream's work. Thread-safe."""

    def __init__(self, device: Device, *, timed: bool = False) -> None:
        """timed: it also notes when it was reached, which costs the stream some time."""
        with device.current():
            flags = pycuda_driver().event_flags
            kind = flags.BLOCKING_SYNC if timed else flags.BLOCKING_SYNC | flags.DISABLE_TIMING
            self._event: Any = pycuda_driver().Event(kind)
        super().__init__(device)

    def synchronize(self) -> None:
        """Wait on the host until the work recorded last is done; at once where nothing was recorded."""
        with self.device.current():
            self._event.synchronize()

    def seconds_since(self, earlier: Event) -> float:
        """From that event to this one, both `timed` and reached, as the GPU's clock has it (to half a microsecond)."""
        with self.device.current():
            return float(self._event.time_since(earlier._event)) / 1e3

    def _free(self) -> None:
        self._event = None


class Stream(Owned):
    """Work that the GPU does in order, beside that of other streams. Thread-safe; the order is that of the calls.

    Closing it does not wait: what was enqueued is still done.

    handle: the CUstream, for other libraries.
    """

    def __init__(self, device: Device) -> None:
        with device.current():
            self._stream: Any = pycuda_driver().Stream(bindings().CUstream_flags.CU_STREAM_NON_BLOCKING.value)
        self.handle: int = self._stream.handle
        super().__init__(device)

    def upload(self, target: DeviceArray, source: NDArray[Any]) -> None:
        """Copy to the GPU. The source lies in a HostBuffer and keeps its values until the copy is done."""
        _check_sizes(source.nbytes, target.nbytes)
        with self.device.current():
            pycuda_driver().memcpy_htod_async(target.pointer, source, self._stream)

    def download(self, target: NDArray[Any], source: DeviceArray) -> None:
        """Copy from the GPU. The target lies in a HostBuffer and has the values when the copy is done."""
        _check_sizes(source.nbytes, target.nbytes)
        with self.device.current():
            pycuda_driver().memcpy_dtoh_async(target, source.pointer, self._stream)

    def copy(self, target: DeviceArray, source: DeviceArray) -> None:
        """Copy on the GPU."""
        _check_sizes(source.nbytes, target.nbytes)
        with self.device.current():
            pycuda_driver().memcpy_dtod_async(target.pointer, source.pointer, source.nbytes, self._stream)

    def record(self, event: Event) -> None:
        """The event is now this place in the stream's work."""
        with self.device.current():
            event._event.record(self._stream)

    def wait(self, event: Event) -> None:
        """What follows in this stream begins after the event as recorded now; the host does not wait."""
        with self.device.current():
            self._stream.wait_for_event(event._event)

    def synchronize(self) -> None:
        """Wait on the host for all work of the stream."""
        with self.device.current():
            self._stream.synchronize()

    def _free(self) -> None:
        self._stream = None


def _check_sizes(source: int, target: int) -> None:
    if source != target:
        raise UsageError(f"got {source} bytes to copy", f"expected {target}")
