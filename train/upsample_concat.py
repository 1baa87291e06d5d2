"""The fused upsample-concat as a torch operator: `torch.ops.rtparse.upsample_concat`, for inference.

On CUDA tensors it is the kernel that TensorRT engines carry, compiled by NVRTC for the GPU at hand at its first use
there; on others it is torch's own interpolate and cat. It passes through torch.compile and torch.export as one node.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from rtparse.errors import EngineError, MissingDependencyError, UsageError
from rtparse.kernels import Variant
from rtparse.kernels.launch import Launch
from rtparse.kernels.launch import upsample_concat as launch_upsample_concat
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.train.model import upsample_concat as interpolate_and_cat

_TYPES = {torch.float16: "half", torch.bfloat16: "bfloat16", torch.float32: "float"}


@torch.library.custom_op("rtparse::upsample_concat", mutates_args=(), device_types="cpu")
def upsample_concat(features: list[Tensor]) -> Tensor:
    """2 to 5 maps (N, C, H, W) of one N, dtype and device to the size of the last one, concatenated on channels.

    Bilinear at half-pixel centres, as F.interpolate(mode="bilinear", align_corners=False). The result is a new tensor,
    channels_last where the last map is. On CUDA: half, bfloat16 or float, on the current stream; channels_last maps
    are read as they are where 8 divides every C, others are made contiguous first. Thread-safe.

    Raises UsageError for maps that it cannot take, and in backward (training uses rtparse.train.model.upsample_concat);
    MissingDependencyError without cuda-bindings or NVRTC; EngineError where CUDA fails.
    """
    _check(features)
    return interpolate_and_cat(features).contiguous(memory_format=_memory_format(features))


@upsample_concat.register_fake
def _(features: list[Tensor]) -> Tensor:
    _check(features)
    return _empty(features)


@upsample_concat.register_kernel("cuda")
def _(features: list[Tensor]) -> Tensor:
    _check(features)
    last, wanted = features[-1], _memory_format(features)
    if last.dtype not in _TYPES:
        raise UsageError(f"got maps of {last.dtype} on CUDA", "use torch.float16, torch.bfloat16 or torch.float32")
    in_place = wanted == torch.channels_last and all(x.shape[1] % 8 == 0 for x in features)
    layout, stored = ("hwc8", torch.channels_last) if in_place else ("linear", torch.contiguous_format)
    inputs = [_stored(x, stored) for x in features]
    with torch.cuda.device(last.device):
        output = _empty(features, stored)
        _launch(
            launch_upsample_concat(
                _TYPES[last.dtype],
                layout,
                [x.data_ptr() for x in inputs],
                [tuple(x.shape) for x in features],
                output.data_ptr(),
            ),
            last.device.index,
        )
    return output.contiguous(memory_format=wanted)


def _backward(context: Any, gradient: Tensor) -> None:
    raise UsageError(
        "rtparse::upsample_concat has no gradient: it is for inference",
        "train with rtparse.train.model.upsample_concat, or call it under torch.inference_mode()",
    )


upsample_concat.register_autograd(_backward)


def _check(features: list[Tensor]) -> None:
    if (
        not 2 <= len(features) <= 5
        or any(x.dim() != 4 or x.dtype != features[-1].dtype or x.device != features[-1].device for x in features)
        or any(x.shape[0] != features[-1].shape[0] for x in features)
    ):
        got = ", ".join(f"{tuple(x.shape)} {x.dtype} on {x.device}" for x in features)
        raise UsageError(f"got maps {got}", "expected 2 to 5 of (N, C, H, W), of one N, dtype and device")


def _memory_format(features: list[Tensor]) -> torch.memory_format:
    last = features[-1]
    if last.is_contiguous(memory_format=torch.channels_last) and not last.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format


def _empty(features: list[Tensor], memory_format: torch.memory_format | None = None) -> Tensor:
    last = features[-1]
    shape = (last.shape[0], sum(x.shape[1] for x in features), *last.shape[2:])
    return torch.empty(
        shape, dtype=last.dtype, device=last.device, memory_format=memory_format or _memory_format(features)
    )


def _stored(x: Tensor, memory_format: torch.memory_format) -> Tensor:
    """As the kernel reads it: dense, and for hwc8 from an address that 16 divides (a slice may begin anywhere)."""
    x = x.contiguous(memory_format=memory_format)
    return x.clone() if memory_format == torch.channels_last and x.data_ptr() % 16 else x


def _launch(launch: Launch, device: int) -> None:
    """On torch's current stream; torch has made its context current in this thread by allocating the output."""
    driver = _driver()
    function = _function(launch.kernel, launch.variant, device)
    stream = torch.cuda.current_stream(device).cuda_stream
    params = launch.params()
    (status,) = driver.cuLaunchKernel(function, *launch.grid, *launch.block, 0, stream, ctypes.addressof(params), 0)
    _succeeded(status, "cuLaunchKernel")


@functools.cache
def _function(kernel: str, variant: Variant, device: int) -> Any:
    """The kernel, loaded into the device's context; the module stays loaded as long as the process."""
    driver = _driver()
    major, minor = torch.cuda.get_device_capability(device)
    compiled = compile_kernel(kernel, variant, arch=f"sm_{major}{minor}")
    status, module = driver.cuModuleLoadData(compiled.code)
    _succeeded(status, "cuModuleLoadData")
    status, function = driver.cuModuleGetFunction(module, compiled.entry.encode())
    _succeeded(status, "cuModuleGetFunction")
    return function


def _driver() -> Any:
    try:
        from cuda.bindings import driver  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingDependencyError("cuda-bindings", "cuda") from error
    return driver


def _succeeded(status: Any, call: str) -> None:
    if status.value:
        raise EngineError(f"{call} failed: {status.name}", "update the NVIDIA driver if it is older than CUDA 13")
