"""How each kernel is launched: grid, block and arguments from shapes and addresses. No CUDA is imported."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtparse.kernels import TYPES, Variant, entry

Argument = ctypes.c_void_p | ctypes.c_int32 | ctypes.c_float

ITEMSIZE = dict(zip(TYPES, (2, 2, 4), strict=True))
"""Bytes of one element of each type."""

BLOCK = 128
"""Threads of a block, all along x."""

_MAX_GRID_YZ = 65535


@dataclass(frozen=True)
class Launch:
    """One launch of one variant. `arguments` are ctypes values in the kernel's order; pointers are device addresses."""

    kernel: str
    variant: Variant
    grid: tuple[int, int, int]
    arguments: tuple[Argument, ...]
    block: tuple[int, int, int] = (BLOCK, 1, 1)

    @property
    def entry(self) -> str:
        """The entry point's name."""
        return entry(self.kernel, self.variant)

    def params(self) -> ctypes.Array[ctypes.c_void_p]:
        """kernelParams of cuLaunchKernel: an array with the address of each argument. Valid while this Launch lives."""
        return (ctypes.c_void_p * len(self.arguments))(*map(ctypes.addressof, self.arguments))


def ceil_div(dividend: Any, divisor: int) -> Any:
    """The quotient rounded up, by operations that TensorRT's symbolic integers have too."""
    return (dividend + (divisor - 1)) // divisor


def upsample_concat_grid(
    layout: str, dtype: str, batch: Any, channels: Any, height: Any, width: Any
) -> tuple[Any, Any, Any]:
    """(x, y, z) of the grid for an output (batch, channels, height, width): integers, or TensorRT's symbolic ones.

    linear: a thread writes 16 bytes of a plane, which may begin up to one element short of 16 bytes after an aligned
    address. hwc8: a thread writes 8 channels of a pixel.
    """
    if layout == "linear":
        per_thread = 16 // ITEMSIZE[dtype]
        return ceil_div(height * width + (per_thread - 1), per_thread * BLOCK), channels, batch
    return ceil_div(height * width * ceil_div(channels, 8), BLOCK), batch, 1


def upsample_concat_sizes(shapes: Sequence[Sequence[Any]]) -> list[Any]:
    """The integer arguments between the pointers, from the inputs' shapes (N, C, H, W); symbolic integers too."""
    batch, _, height, width = shapes[-1]
    return [batch, height, width, *(side for shape in shapes for side in shape[1:])]


def upsample_concat(
    dtype: str, layout: str, inputs: Sequence[int], shapes: Sequence[Sequence[int]], output: int
) -> Launch:
    """Concatenate `inputs` of `shapes` (N, C, H, W), whatever the layout, at the size of the last one, to `output`.

    `output` has the inputs' type and layout. For hwc8 all addresses are multiples of 16. Raises ValueError for shapes
    that the kernel cannot take: not 2 to 5 of them, batches that differ, more than 65535 samples (or, for linear,
    channels), an empty side.
    """
    batch, _, height, width = shapes[-1]
    channels = sum(shape[1] for shape in shapes)
    limited = (batch, channels) if layout == "linear" else (batch,)
    if (
        not 2 <= len(shapes) <= 5
        or len(inputs) != len(shapes)
        or any(shape[0] != batch or min(shape) < 1 for shape in shapes)
        or max(limited) > _MAX_GRID_YZ
    ):
        raise ValueError(
            f"got inputs of shapes {[tuple(shape) for shape in shapes]}, expected 2 to 5 of (N, C, H, W) with one N"
        )
    return Launch(
        "upsample_concat",
        (dtype, layout, str(len(shapes))),
        upsample_concat_grid(layout, dtype, batch, channels, height, width),
        (*_pointers(inputs), *map(ctypes.c_int32, upsample_concat_sizes(shapes)), *_pointers([output])),
    )


def _pointers(addresses: Sequence[int]) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(address) for address in addresses]
