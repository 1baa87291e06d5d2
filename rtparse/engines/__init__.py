"""Engines: one model file behind one small protocol, one module each."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rtparse.engines.base import Engine
from rtparse.engines.cores import multiplies_bytes
from rtparse.engines.flavours import FLAVOURS, Flavour
from rtparse.errors import EngineError, MissingDependencyError, UsageError

__all__ = ["BACKENDS", "Engine", "EngineStatus", "available_engines", "default_model", "open_engine", "open_on_each"]

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class EngineStatus:
    """Whether an engine can be used here.

    suffixes: of the files that it runs.
    version: of the package behind it, "" where that is not installed.
    reason: why it is not available and what to do, "" where it is.
    """

    kind: str
    suffixes: tuple[str, ...]
    available: bool
    version: str
    reason: str


BACKENDS = ("onnxruntime", "openvino")
"""What can run an .onnx file."""


def open_engine(
    path: str | Path, backend: str | None = None, *, threads: int | None = None, device: int | None = None
) -> Engine:
    """Load a model file with the engine that its extension names: .onnx, .safetensors, .plan or .engine.

    The caller closes it. A plan is native code: open only those that you trust.

    backend: "onnxruntime" or "openvino" for an .onnx file. None takes OpenVINO where it is installed, can read the
        file, and ONNX Runtime has no accelerator; else ONNX Runtime.
    threads: how many compute one run of an .onnx file; None is one for each physical core that this process may use.
    device: which NVIDIA GPU, as CUDA counts them, for plans and checkpoints; None is the first.

    Raises UsageError for a missing file, an unknown extension, a backend that cannot be meant or a GPU that is not
    there, MissingDependencyError where the engine's package is not installed, EngineError for a file that cannot be
    run.
    """
    if backend is not None and backend not in BACKENDS:
        raise UsageError(f"there is no backend {backend!r}", f"choose from: {', '.join(BACKENDS)}")
    suffix = Path(path).suffix.lower()
    if backend is not None and suffix != ".onnx":
        raise UsageError(f"{path} has no choice of backends", f"{backend} runs .onnx files")
    if device is not None and suffix == ".onnx":
        raise UsageError(f"got GPU {device} for {path}", "choose a GPU for .plan, .engine and .safetensors files")
    if suffix == ".onnx":
        return _open_onnx(path, backend, threads) if backend else _open_fastest(path, threads)
    if suffix == ".safetensors":
        return _open_checkpoint(path, device)
    if suffix in (".plan", ".engine"):
        from rtparse.engines.tensorrt import TensorRTEngine

        return TensorRTEngine(path, device or 0)
    raise UsageError(
        f"{path} is no model file: its extension is {suffix!r}", "give an .onnx, .plan, .engine or .safetensors file"
    )


def open_on_each(path: str | Path, backend: str | None, devices: Sequence[int]) -> list[Engine]:
    """One engine for each of these GPUs, or one where none is named. Raises as `open_engine` does, all closed then."""
    if len(set(devices)) < len(devices):
        raise UsageError(f"got GPUs {', '.join(map(str, devices))}", "name each once")
    with ExitStack() as opened:
        engines = [opened.enter_context(open_engine(path, backend, device=device)) for device in devices or (None,)]
        opened.pop_all()
    return engines


def _open_checkpoint(path: str | Path, device: int | None) -> Engine:
    from rtparse.engines.torch_engine import TorchEngine

    if importlib.util.find_spec("torch") is not None:
        from rtparse.engines.torch_cuda import TorchCudaEngine, can_keep_frames

        if can_keep_frames():
            return TorchCudaEngine(path, device)
    return TorchEngine(path, device)


def _open_onnx(path: str | Path, backend: str, threads: int | None) -> Engine:
    if backend == "onnxruntime":
        from rtparse.engines.ort import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, threads=threads)
    try:
        from rtparse.engines.openvino import OpenVinoEngine
    except ImportError as error:
        raise MissingDependencyError("openvino", "openvino") from error
    return OpenVinoEngine(path, threads=threads)


def _open_fastest(path: str | Path, threads: int | None) -> Engine:
    backend = _fastest()
    try:
        return _open_onnx(path, backend, threads)
    except EngineError as error:
        if backend == "onnxruntime":
            raise
        # OpenVINO reads no model-local functions, such as that of the fused upsample-concat.
        engine = _open_onnx(path, "onnxruntime", threads)
        _log.warning("%s runs in ONNX Runtime: %s", path, error.message)
        return engine


def _fastest() -> str:
    """The backend for .onnx files on this machine: OpenVINO is twice as fast in bfloat16, and as fast in float32."""
    from rtparse.engines.ort import providers

    if providers() != ["CPUExecutionProvider"]:
        return "onnxruntime"
    try:
        importlib.import_module("rtparse.engines.openvino")
    except ImportError:
        return "onnxruntime"
    return "openvino"


def default_model(backend: str | None = None) -> str:
    """The name of the built-in model that is fastest here for the same labels.

    backend: as for `open_engine`. ONNX Runtime gains by INT8 on CPUs that multiply bytes; OpenVINO computes float
        models in bfloat16, which is faster still.
    """
    if (backend or _fastest()) == "onnxruntime" and multiplies_bytes():
        from rtparse.engines.ort import providers

        return "small-int8" if providers() == ["CPUExecutionProvider"] else "small"
    return "small"


def available_engines() -> list[EngineStatus]:
    """Every engine and whether it can be used here, without loading any."""
    runtime, openvino, torch, safetensors = (
        _version(package) for package in ("onnxruntime", "openvino", "torch", "safetensors")
    )
    trained = bool(torch and safetensors)
    return [
        EngineStatus("onnxruntime", (".onnx",), True, runtime, ""),
        EngineStatus("openvino", (".onnx",), bool(openvino), openvino, "" if openvino else _install("openvino")),
        EngineStatus("torch", (".safetensors",), trained, torch, "" if trained else _install("train")),
        *(_plan_status(flavour) for flavour in FLAVOURS.values()),
    ]


def _plan_status(flavour: Flavour) -> EngineStatus:
    found = flavour.installed and _version("pycuda") and _version("cuda-bindings")
    reason = "" if found else _install(flavour.extra)
    return EngineStatus(flavour.name, (".plan", ".engine"), not reason, _version(flavour.module), reason)


def _install(extra: str) -> str:
    return f'run: pip install "rtparse[{extra}]"'


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
