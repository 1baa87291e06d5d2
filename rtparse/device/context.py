"""A GPU's primary context, as torch and TensorRT use it too, and the owner of everything that is made in it."""

from __future__ import annotations

import atexit
import ctypes
import weakref
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock, RLock, local
from types import TracebackType
from typing import Any
from weakref import WeakValueDictionary

from rtparse.closing import Closing
from rtparse.device.driver import (
    CallError,
    bindings,
    call,
    check_process,
    failed_call,
    forked,
    is_foreign,
    is_lost,
    out_of_memory,
    pycuda_driver,
    translate,
)
from rtparse.errors import DeviceError, DeviceMemoryError, UsageError

_LEFT: list[object] = []
"""What a forked process must not free: it would call the driver of its parent."""
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_LEFT))  # not even when Python ends: PyCUDA aborts where CUDA refuses


@dataclass(eq=False)
class _Health:
    """Of one context, which all Devices of its GPU share."""

    lost: bool = False


_HEALTH: WeakValueDictionary[int, _Health] = WeakValueDictionary()
"""Of the GPUs that Devices are open on, by their index."""
_HEALTH_LOCK = Lock()


class Device(Closing):
    """The primary context of one GPU.

    It owns what is made with it (`rtparse.device.owned.Owned`): closing it frees what is left of that, the youngest
    first, then lets go of the context. Several Devices of one GPU share the context, which ends with the last user.

    index: which GPU, as CUDA counts them. name: of the GPU.
    lost: it stopped working, for all its Devices: nothing is freed any more but all of it, by the end of the context.
    compute_capability: (8, 9) for 8.9. driver: what cuDriverGetVersion says, 13000 for CUDA 13.0.

    Thread-safe. A Device that is dropped without being closed is closed when it is collected or the process ends. In a
    forked process everything raises DeviceError but `close`, which does nothing there.
    """

    def __init__(self, index: int = 0) -> None:
        """index: which GPU, as CUDA counts them.

        Raises MissingDependencyError without PyCUDA or cuda-bindings, UsageError where there is no such GPU,
        DeviceError for no driver, one that is too old, or a GPU that cannot be used.
        """
        self._context: Any = None
        driver = pycuda_driver()
        bindings()
        check_process()
        self.lock = RLock()
        self._owned: dict[int, Closing] = {}
        self._current = Current(self)
        try:
            count = driver.Device.count()
            if not 0 <= index < count:
                there = ", ".join(f"{i} ({driver.Device(i).name()})" for i in range(count))
                raise UsageError(f"there is no GPU {index}", f"choose from: {there}")
            self.index = index
            device = driver.Device(index)
            self.name: str = device.name()
            self.compute_capability: tuple[int, int] = device.compute_capability()
            self.driver: int = driver.get_driver_version()
            self._context = device.retain_primary_context()
            with _HEALTH_LOCK:
                self._health = _HEALTH.setdefault(index, _Health())
        except driver.Error as error:
            raise translate(error) from error
        self._at_exit = partial(_close, weakref.ref(self))
        atexit.register(self._at_exit)

    def current(self) -> Current:
        """A `with` block in which the context is the thread's current one; CUDA's errors leave it as ours. Blocks nest,
        but not one of this GPU in one of another GPU in one of this.

        Raises DeviceError on entering when the device was closed, or in a forked process.
        """
        return self._current

    @property
    def handle(self) -> int:
        """The CUcontext, for other libraries. Raises DeviceError when the device was closed."""
        with self._current:
            return int(self._context.handle)

    @property
    def lost(self) -> bool:
        return self._health.lost

    def memory(self) -> tuple[int, int]:
        """Bytes of the GPU's memory: free, total."""
        with self._current:
            free, total = pycuda_driver().mem_get_info()
        return free, total

    def own(self, owned: Closing) -> None:
        """Close it with the device."""
        with self.lock:
            self._owned[id(owned)] = owned

    def disown(self, owned: Closing) -> None:
        with self.lock:
            self._owned.pop(id(owned), None)

    def close(self) -> None:
        """Free everything that was made with the device, after its work in progress, and let go of the context.

        Raises DeviceError when the context cannot be made current; the device then stays open.
        """
        if self._context is None:
            return
        if forked():
            _LEFT.extend((self._context, self._owned))
            self._context = None
            return
        with self.lock, self._current, ExitStack() as stack:
            stack.callback(self._release)
            for owned in self._owned.values():
                stack.callback(owned.close)  # the last is closed first

    def __del__(self) -> None:
        self.close()

    def _release(self) -> None:
        # PyCUDA lets go of a context only where it is current, and then leaves it on the driver's stack.
        call("cuCtxPopCurrent")
        self._current.popped()
        self._context.detach()
        self._context = None
        self._health = _Health(self._health.lost)  # who opens the GPU anew may find it well
        self._owned.clear()
        atexit.unregister(self._at_exit)


class Current:
    """The `with` block of `Device.current`; one object serves all threads."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._thread = local()

    def __enter__(self) -> None:
        depth = getattr(self._thread, "depth", 0)
        if depth == 0:
            check_process()
            context = self._device._context
            if context is None:
                raise DeviceError("the device was closed", "open it again")
            try:
                context.push()
            except pycuda_driver().Error as error:
                raise self._told(error) from error
            self._thread.context = context
        self._thread.depth = depth + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.depth -= 1
        failed = None
        if self._thread.depth == 0 and self._thread.context is not None:
            failed = self._pop(self._thread.context)
        if error is not None and is_foreign(error):
            raise self._told(error) from error
        if error is None and failed is not None:
            raise self._told(failed) from failed

    def popped(self) -> None:
        """This thread's context is off the stack already."""
        self._thread.context = None

    def _told(self, error: BaseException) -> DeviceError:
        self._device._health.lost |= is_lost(error)
        told = translate(error)
        if isinstance(told, DeviceMemoryError):
            with suppress(DeviceError):
                return out_of_memory(failed_call(error), *self._device.memory())
        return told

    def _pop(self, context: Any) -> BaseException | None:
        """Take the context off the thread's stack; returns what left the stack another than it was before the block.

        PyCUDA aborts the process when a thread ends with a context on its stack.
        """
        failed: BaseException
        for _ in range(2):
            try:
                context.pop()
                return None
            except pycuda_driver().Error as error:
                failed = error
                if failed_call(failed) == "cuCtxPushCurrent":  # of another device's below it: this one is off
                    return failed
        # Such a failure took this one off CUDA's stack, but not off PyCUDA's.
        try:
            call("cuCtxPushCurrent", context.handle)
            context.pop()
        except (CallError, pycuda_driver().Error) as error:
            failed = error
            return failed
        return None


def _close(device: weakref.ref[Device]) -> None:
    if (found := device()) is not None:
        found.close()
