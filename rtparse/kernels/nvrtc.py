"""CUDA C++ to PTX or cubin by NVRTC, which needs neither a GPU nor a driver nor CUDA's headers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

from rtparse.errors import EngineError, MissingDependencyError
from rtparse.kernels import Variant, definitions, entry, headers, source

Form = Literal["ptx", "cubin"]

OPTIONS = ("--std=c++17", "--fmad=false")
"""Without --fmad=false the GPU's results would differ in the last bits from those that the tests see on the host."""


@dataclass(frozen=True)
class Compiled:
    """A kernel to load: `code` for cuModuleLoadData (PTX ends in a zero byte), `entry` for cuModuleGetFunction."""

    code: bytes
    entry: str


def compile_kernel(
    kernel: str, variant: Variant = (), *, arch: str, form: Form = "cubin", driver: int | None = None
) -> Compiled:
    """One variant of a kernel (`rtparse.kernels.variants`) for one GPU architecture. Thread-safe; results are kept.

    arch: "sm_89" for compute capability 8.9.
    form: cubin runs on GPUs of that architecture with any driver of NVRTC's major version. PTX is compiled on by the
        driver, for later architectures too; but a driver older than NVRTC refuses it.
    driver: what cuDriverGetVersion says (13000 for 13.0) of the driver that PTX must satisfy; None is not checked.

    Raises MissingDependencyError without cuda-bindings or NVRTC, EngineError for an architecture that this NVRTC does
    not know, for PTX that the driver would refuse, and with NVRTC's log where a source does not compile.
    """
    version = nvrtc_version()
    if form == "ptx" and driver is not None and driver // 10 < version[0] * 100 + version[1]:
        major, minor = driver // 1000, driver % 1000 // 10
        raise EngineError(
            f"NVRTC {version[0]}.{version[1]} writes PTX that the driver, of CUDA {major}.{minor}, does not read",
            f'update the driver, or run: pip install "nvidia-cuda-nvrtc=={major}.{minor}.*"',
        )
    return _compile(kernel, variant, arch, form)


def nvrtc_version() -> tuple[int, int]:
    """NVRTC's CUDA version: (13, 0). Raises MissingDependencyError."""
    nvrtc = _nvrtc()
    try:
        status, major, minor = nvrtc.nvrtcVersion()
    except RuntimeError as error:  # cuda-bindings looks for the library at the first call
        raise MissingDependencyError("nvidia-cuda-nvrtc", "cuda") from error
    _check(status, "nvrtcVersion")
    return major, minor


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependencyError("cuda-bindings", "cuda") from error
    return nvrtc


@functools.cache
def _compile(kernel: str, variant: Variant, arch: str, form: Form) -> Compiled:
    nvrtc = _nvrtc()
    included = headers()
    status, program = nvrtc.nvrtcCreateProgram(
        source(kernel).encode(),
        f"{kernel}.cu".encode(),
        len(included),
        [text.encode() for text in included.values()],
        [name.encode() for name in included],
    )
    _check(status, "nvrtcCreateProgram")
    try:
        # A virtual architecture stops at PTX; a real one goes on to machine code.
        target = arch if form == "cubin" else arch.replace("sm_", "compute_")
        options = [f"--gpu-architecture={target}", *OPTIONS, *definitions(kernel, variant)]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode(errors="replace")
            major, minor = nvrtc_version()
            raise EngineError(
                f"NVRTC {major}.{minor} cannot compile {entry(kernel, variant)} for {arch} ({status.name}): "
                f"{log.rstrip(chr(0)).strip() or 'no log'}"
            )
        if form == "cubin":
            code = _text(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
        else:
            code = _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
        return Compiled(code, entry(kernel, variant))
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _text(size_of: Any, fill: Any, program: Any) -> bytes:
    status, size = size_of(program)
    _check(status, size_of.__name__)
    buffer: bytes = b" " * size  # filled in place
    (status,) = fill(program, buffer)
    _check(status, fill.__name__)
    return buffer


def _check(status: Any, call: str) -> None:
    if status.value:
        raise EngineError(f"{call} failed: {status.name}")
