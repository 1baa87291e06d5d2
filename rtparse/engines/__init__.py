"""Engines: one model file behind one small protocol, one module each."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from rtparse.engines.base import Engine
from rtparse.errors import EngineError, UsageError

__all__ = ["Engine", "EngineStatus", "available_engines", "open_engine"]


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


def open_engine(path: str | Path) -> Engine:
    """Load a model file with the engine that its extension names: .onnx or .safetensors. The caller closes it.

    Raises UsageError for a missing file or an unknown extension, MissingDependencyError where the engine's package is
    not installed, EngineError for a file that cannot be run.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        from rtparse.engines.ort import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path)
    if suffix == ".safetensors":
        from rtparse.engines.torch_engine import TorchEngine

        return TorchEngine(path)
    if suffix in (".plan", ".engine"):
        raise EngineError(f"{path} is a TensorRT plan", f"{_NO_TENSORRT}; give the .onnx file that it was built from")
    raise UsageError(f"{path} is no model file: its extension is {suffix!r}", "give an .onnx or a .safetensors file")


_NO_TENSORRT = "this version of rtparse has no TensorRT engine"


def available_engines() -> list[EngineStatus]:
    """Every engine and whether it can be used here, without loading any."""
    runtime, torch, safetensors = (_version(package) for package in ("onnxruntime", "torch", "safetensors"))
    trained = bool(torch and safetensors)
    return [
        EngineStatus("onnxruntime", (".onnx",), True, runtime, ""),
        EngineStatus(
            "torch", (".safetensors",), trained, torch, "" if trained else 'run: pip install "rtparse[train]"'
        ),
        EngineStatus("tensorrt", (".plan", ".engine"), False, _version("tensorrt"), _NO_TENSORRT),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
