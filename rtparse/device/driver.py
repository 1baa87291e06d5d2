"""CUDA's doors, PyCUDA and cuda.bindings, and the one boundary where their failures become rtparse's errors."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any
from warnings import catch_warnings

from rtparse.errors import DeviceError, DeviceMemoryError, MissingDependencyError

BUILD_PYCUDA = (
    "PyCUDA has no wheels: that command builds it, with g++, Python's headers and the CUDA toolkit's nvcc; before it, "
    "run: sudo apt-get install g++ python3-dev && export PATH=/usr/local/cuda/bin:$PATH"
)

REBUILD_PYCUDA = "pip install --force-reinstall --no-deps --no-cache-dir pycuda"
"""pip keeps what it has built: without --no-cache-dir it would install the same once more."""

LOST = {46, 214, 220, 226, 409, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 802, 999}
"""CUresult codes after which nothing works any more in the process: the GPU was lost, or a kernel broke the context."""

IMAGES = {200, 209, 218, 221, 222, 223}
"""CUresult codes for kernels that driver or GPU cannot run."""

DRIVERS = {34, 35, 36, 803, 804}
"""CUresult codes for a driver that is a stub, too old, or does not fit its kernel module."""

_started_by = 0


class CallError(Exception):
    """A call of cuda.bindings that failed. Never leaves this package."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code


@cache
def pycuda_driver() -> Any:
    """PyCUDA's driver module, CUDA started. Thread-safe.

    Raises MissingDependencyError where PyCUDA is not installed or not built, DeviceError where there is no driver, one
    that is too old, or no GPU.
    """
    global _started_by
    try:
        with catch_warnings(action="ignore"):  # what PyCUDA warns of it raises as well
            import pycuda.driver as driver  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("pycuda"):
            raise MissingDependencyError("pycuda", "tensorrt", BUILD_PYCUDA) from error
        raise MissingDependencyError(error.name or "pycuda", "tensorrt") from error
    except ImportError as error:
        raise _no_driver(str(error)) from error
    try:
        driver.init()
    except driver.Error as error:
        raise translate(error) from error
    offered, built_for = driver.get_driver_version(), driver.get_version()
    if offered // 1000 < built_for[0]:
        raise DeviceError(
            f"the NVIDIA driver offers CUDA {offered // 1000}.{offered % 1000 // 10}, PyCUDA was built for "
            f"{built_for[0]}.{built_for[1]}",
            f"update the driver, or build PyCUDA with an older toolkit: {REBUILD_PYCUDA}",
        )
    _started_by = os.getpid()
    return driver


@cache
def bindings() -> Any:
    """cuda.bindings.driver, for what PyCUDA lacks. Raises MissingDependencyError where it is not installed."""
    try:
        from cuda.bindings import driver  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError as error:
        raise MissingDependencyError("cuda-bindings", "tensorrt") from error
    return driver


def call(name: str, *arguments: Any) -> Any:
    """What a function of cuda.bindings returns beside its code: one value, or None. Raises CallError."""
    code, *values = getattr(bindings(), name)(*arguments)
    if int(code):
        raise CallError(name, int(code))
    return values[0] if values else None


def forked() -> bool:
    """Whether this process was forked after CUDA had started, which CUDA does not survive."""
    return _started_by not in (0, os.getpid())


def check_process() -> None:
    """Raise DeviceError where `forked`."""
    if forked():
        raise DeviceError(
            "this process was forked after CUDA had started, and cannot use the GPU",
            'start it another way: multiprocessing.get_context("spawn")',
        )


def is_foreign(error: BaseException) -> bool:
    """Whether it is CUDA's, so that `translate` knows it."""
    return isinstance(error, (CallError, pycuda_driver().Error)) or _lacks_function(error)


def is_lost(error: BaseException) -> bool:
    """Whether nothing works any more after this error of CUDA's."""
    return not _lacks_function(error) and _parts(error)[2] in LOST


def failed_call(error: BaseException) -> str:
    """The name of the function that failed."""
    return _parts(error)[0]


def translate(error: BaseException) -> DeviceError:
    """The error for a failed call of PyCUDA or cuda.bindings."""
    if _lacks_function(error):
        return DeviceError(f"the NVIDIA driver is too old ({error})", "update the driver")
    name, text, code = _parts(error)
    if code == 2:
        return DeviceMemoryError(f"{name} found no memory left on the GPU", "use a smaller size or batch")
    if code == 100:
        return DeviceError("CUDA found no GPU", "check with nvidia-smi, and CUDA_VISIBLE_DEVICES")
    if code in DRIVERS:
        return DeviceError(f"the NVIDIA driver cannot be used ({text})", "update or reinstall it, then restart")
    if code in IMAGES:
        return DeviceError(f"a kernel does not fit this GPU or its driver ({text})", "update the driver")
    if code in LOST:
        return DeviceError(
            f"the GPU stopped working ({name}: {text})", "restart the process; `nvidia-smi` and `dmesg` may say why"
        )
    return DeviceError(f"{name} failed on the GPU: {text}")


def out_of_memory(asked: int | str, free: int, total: int) -> DeviceMemoryError:
    """asked: bytes, or the name of what asked for some. free, total: bytes of the GPU."""
    wanted = f"memory left for {asked}" if isinstance(asked, str) else f"{_mib(asked)} left"
    return DeviceMemoryError(
        f"the GPU has no {wanted}: {_mib(free)} of {_mib(total)} are free", "use a smaller size or batch"
    )


def _parts(error: BaseException) -> tuple[str, str, int]:
    """The call that failed, the driver's text for it, and its code; -1 where PyCUDA speaks for itself."""
    if isinstance(error, CallError):
        return error.name, _text(error.code), error.code
    name, _, text = str(error).partition(" failed: ")
    return name, text, _codes().get(text.split(" - ")[0], -1)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _no_driver(text: str) -> DeviceError:
    if "undefined symbol" in text:
        return DeviceError(
            f"the NVIDIA driver is older than the CUDA that PyCUDA was built for ({text})",
            f"update it, or build PyCUDA with an older toolkit: {REBUILD_PYCUDA}",
        )
    if "libcuda" in text:
        return DeviceError(
            "CUDA was not found: there is no libcuda.so.1", "install the NVIDIA driver, then check with nvidia-smi"
        )
    return DeviceError(f"PyCUDA cannot be loaded ({text})", f"build it anew: {REBUILD_PYCUDA}")


def _lacks_function(error: BaseException) -> bool:
    """cuda.bindings found no such function in the driver."""
    return isinstance(error, RuntimeError) and re.search("function .+ not found", str(error), re.IGNORECASE) is not None


@cache
def _codes() -> dict[str, int]:
    """Codes by the driver's text for them: PyCUDA tells the text only."""
    return {_text(int(code)): int(code) for code in bindings().CUresult}


def _text(code: int) -> str:
    failed, text = bindings().cuGetErrorString(bindings().CUresult(code))
    return f"error {code}" if int(failed) else text.decode()
