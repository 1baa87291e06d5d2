"""Memory of the GPU, and memory of the host that it reads and writes by itself."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.driver import out_of_memory, pycuda_driver
from rtparse.device.owned import Owned
from rtparse.errors import DeviceMemoryError


class DeviceBuffer(Owned):
    """Memory on the GPU. array: what lies in it. Freeing it waits for all work on the GPU."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Raises DeviceMemoryError, with the amounts, where there is no room."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        with device.current():
            driver = pycuda_driver()
            try:
                self._allocation = driver.mem_alloc(size)
            except driver.MemoryError as error:
                raise out_of_memory(size, *driver.mem_get_info()) from error
        self.array = DeviceArray(int(self._allocation), shape, kind, self)
        super().__init__(device)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.array.__cuda_array_interface__

    def _free(self) -> None:
        self._allocation.free()


class HostBuffer(Owned):
    """Page-locked memory of the host: copies from and to it run beside the host's work.

    array: the memory as a NumPy array. It and its views end with the buffer: copy what is to stay. Freeing it waits for
        all work on the GPU.
    """

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Raises DeviceMemoryError where the system locks no more memory."""
        with device.current():
            driver = pycuda_driver()
            try:
                self.array: NDArray[Any] = driver.pagelocked_empty(shape, np.dtype(dtype))
            except driver.MemoryError as error:
                size = math.prod(shape) * np.dtype(dtype).itemsize
                raise DeviceMemoryError(
                    f"the system cannot page-lock {size / 2**20:.1f} MiB of memory",
                    "close other programs, or use a smaller size or batch",
                ) from error
        self._allocation = self.array.base
        super().__init__(device)

    def _free(self) -> None:
        driver = pycuda_driver()
        with contextlib.suppress(driver.Error):  # a GPU that was lost copies nothing any more
            driver.Context.synchronize()
        self._allocation.free()
