"""The same network in other runtimes, which `bench` compares an engine with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtparse.engines import BACKENDS, Engine, open_engine
from rtparse.engines.torch_engine import TorchEngine
from rtparse.errors import MissingDependencyError, UsageError

RIVALS = {
    "onnxruntime": (".onnx", ".safetensors"),
    "openvino": (".onnx", ".safetensors"),
    "torch": (".safetensors",),
    "torch-compile": (".safetensors",),
}
"""By name, the model files whose network each can run; ONNX Runtime and OpenVINO run the export of a checkpoint."""


class CompiledTorchEngine(TorchEngine):
    """A checkpoint through torch.compile, on a GPU with max-autotune. The first batch of a shape is compiled for it."""

    kind = "torch-compile"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        import torch

        self._model = torch.compile(self._model, mode="max-autotune" if self._device != "cpu" else None)


def check_rivals(names: Sequence[str], model: str) -> None:
    """Raise UsageError for a name that is none of `RIVALS`, or for one that cannot run that model file."""
    suffix = Path(model).suffix.lower()
    for name in names:
        if name not in RIVALS:
            raise UsageError(f"there is no {name!r} to compare with", f"choose from: {', '.join(RIVALS)}")
        if suffix not in RIVALS[name]:
            raise UsageError(f"{name} cannot run {model}", f"expected {' or '.join(RIVALS[name])}")


@contextmanager
def open_rivals(names: Sequence[str], model: str) -> Iterator[dict[str, Engine]]:
    """The engines of those names for a model file, by name; closed on leaving.

    All take and give what `Engine.infer` does, in float32. Raises UsageError as `check_rivals` does,
    MissingDependencyError for one that is not installed, EngineError for a file that it cannot run.
    """
    check_rivals(names, model)
    with ExitStack() as stack:
        onnx = model
        if not set(names).isdisjoint(BACKENDS) and Path(model).suffix.lower() == ".safetensors":
            onnx = _export(model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        yield {name: stack.enter_context(_open(name, model, onnx)) for name in names}


def _open(name: str, model: str, onnx: str) -> Engine:
    if name in BACKENDS:
        return open_engine(onnx, name)
    return TorchEngine(model) if name == "torch" else CompiledTorchEngine(model)


def _export(checkpoint: str, folder: Path) -> str:
    try:
        from rtparse.exporters.onnx import to_onnx
        from rtparse.train.checkpoint import load_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    path = folder / "exported.onnx"
    path.write_bytes(to_onnx(*load_checkpoint(Path(checkpoint))).SerializeToString())
    return str(path)
