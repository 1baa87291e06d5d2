"""Arrays in a GPU's memory as values: rtparse's own, and those of torch, CuPy and PyCUDA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rtparse.errors import UsageError


@dataclass(frozen=True, slots=True, eq=False)
class DeviceArray:
    """Where an array lies on the GPU: C-contiguous, never freed by this object.

    Offers `__cuda_array_interface__`, so that torch.as_tensor, cupy.asarray and pycuda.gpuarray read and write the same
    memory; whoever uses it so waits for the stream that fills it. owner: kept alive as long as this.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object

    @classmethod
    def of(cls, array: object) -> DeviceArray:
        """The memory of any array with `__cuda_array_interface__`. Raises UsageError for one that is not C-contiguous.

        The caller orders its use after the work that fills it.
        """
        if isinstance(array, cls):
            return array
        try:
            interface: dict[str, Any] = array.__cuda_array_interface__  # type: ignore[attr-defined]
        except AttributeError:
            raise UsageError(f"got {type(array).__name__}", "expected an array on the GPU") from None
        found = cls(int(interface["data"][0]), tuple(interface["shape"]), np.dtype(interface["typestr"]), array)
        strides = interface.get("strides")
        if strides is not None and found.nbytes and tuple(strides) != contiguous_strides(found.shape, found.dtype):
            raise UsageError(f"got an array on the GPU with strides {tuple(strides)}", "make it contiguous first")
        return found

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, index: int | slice) -> DeviceArray:
        """A part along the first axis, in the same memory: array[2] or array[1:3]."""
        start, stop, _ = (slice(index, index + 1) if isinstance(index, int) else index).indices(self.shape[0])
        if isinstance(index, int) and not 0 <= index < self.shape[0]:
            raise IndexError(index)
        rest = self.shape[1:]
        step = math.prod(rest) * self.dtype.itemsize
        shape = rest if isinstance(index, int) else (max(stop - start, 0), *rest)
        return DeviceArray(self.pointer + start * step, shape, self.dtype, self.owner)

    def view(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> DeviceArray:
        """The first bytes of it read as another array. Raises UsageError where they are too few."""
        seen = DeviceArray(self.pointer, shape, self.dtype if dtype is None else np.dtype(dtype), self.owner)
        if seen.nbytes > self.nbytes:
            raise UsageError(f"got {self.nbytes} bytes", f"expected {seen.nbytes} for {seen.dtype}{shape}")
        return seen

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }


def contiguous_strides(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """In bytes, as C orders an array."""
    return tuple(math.prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape)))
