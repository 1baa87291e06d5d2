"""The same network in other runtimes, which `bench` compares an engine with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.engines import BACKENDS, Engine, open_engine
from rtparse.engines.base import check_batch
from rtparse.engines.torch_engine import TorchEngine
from rtparse.errors import EngineError, MissingDependencyError, UsageError

RIVALS = {
    "onnxruntime": (".onnx", ".safetensors"),
    "openvino": (".onnx", ".safetensors"),
    "torch": (".safetensors",),
    "torch-compile": (".safetensors",),
}
"""By name, the model files whose network each can run; ONNX Runtime and OpenVINO run the export of a checkpoint."""

ON_GPU = ("onnxruntime", "torch", "torch-compile")
"""Those that can use a GPU."""


class TorchRival(TorchEngine):
    """A checkpoint in torch as one would run it for speed: on a GPU in half precision, channels last."""

    def __init__(self, path: str | Path, *, half: bool | None = None) -> None:
        """half: None is on a GPU."""
        super().__init__(path)
        self._half = self._device != "cpu" if half is None else half
        if self._half:
            from rtparse.engines.torch_cuda import half_precision

            self._model = half_precision(self._model)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._half:
            return super().infer(batch)
        import torch

        check_batch(batch, self.sizes)
        try:
            with torch.inference_mode():
                given = torch.from_numpy(batch).to(self._device).half().contiguous(memory_format=torch.channels_last)
                logits: NDArray[np.float32] = self._model(given).float().cpu().numpy()
        except RuntimeError as error:
            raise EngineError(f"{self.path} failed on a batch of shape {batch.shape} ({error})") from error
        return logits


class CompiledTorchRival(TorchRival):
    """The same through torch.compile, on a GPU with max-autotune. The first batch of a shape is compiled for it."""

    kind = "torch-compile"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        import torch

        self._model: Any = torch.compile(self._model, mode="max-autotune" if self._device != "cpu" else None)


@dataclass(frozen=True)
class Rivals:
    """engines: open, by name, in the order asked for. skipped: why the others cannot run here."""

    engines: dict[str, Engine]
    skipped: dict[str, str]


def check_rivals(names: Sequence[str], model: str) -> None:
    """Raise UsageError for a name that is none of `RIVALS`, or for one that cannot run that model file."""
    suffix = Path(model).suffix.lower()
    for name in names:
        if name not in RIVALS:
            raise UsageError(f"there is no {name!r} to compare with", f"choose from: {', '.join(RIVALS)}")
        if suffix not in RIVALS[name]:
            raise UsageError(
                f"{name} cannot run {model}",
                f"expected {' or '.join(RIVALS[name])}; of a plan give the file that it was made of with --network",
            )


@contextmanager
def open_rivals(
    names: Sequence[str], model: str, batch: NDArray[np.float32], *, on_gpu: bool = False
) -> Iterator[Rivals]:
    """The engines of those names for a model file, each of which has run that batch; closed on leaving.

    All take and give what `Engine.infer` does, in float32. on_gpu: those of `ON_GPU` shall use one, or are skipped.
    Whatever is not installed or fails on the batch is skipped too. Raises UsageError as `check_rivals` does.
    """
    check_rivals(names, model)
    found = Rivals({}, {})
    with ExitStack() as stack:
        onnx = ""
        for name in names:
            try:
                if on_gpu and name in ON_GPU:
                    _check_gpu(name)
                if name in BACKENDS and not onnx:
                    onnx = _onnx(model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
                engine = stack.enter_context(_open(name, model, onnx))
                engine.infer(batch)  # compiles
                found.engines[name] = engine
            except (MissingDependencyError, EngineError) as error:
                found.skipped[name] = str(error)
        yield found


def _open(name: str, model: str, onnx: str) -> Engine:
    if name in BACKENDS:
        return open_engine(onnx, name)
    return TorchRival(model) if name == "torch" else CompiledTorchRival(model)


def _check_gpu(name: str) -> None:
    """Raise EngineError where that runtime would use the CPU."""
    if name == "onnxruntime":
        from rtparse.engines.ort import providers

        if "CUDAExecutionProvider" not in providers():
            raise EngineError(
                f"the installed ONNX Runtime has no CUDA ({', '.join(providers())})",
                "run: pip uninstall onnxruntime && pip install onnxruntime-gpu",
            )
        return
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("torch", "train") from error
    if not torch.cuda.is_available():
        raise EngineError("torch sees no GPU", "install a build of torch for CUDA")


def _onnx(model: str, folder: Path) -> str:
    """The model as an .onnx file: itself, or its export."""
    if Path(model).suffix.lower() != ".safetensors":
        return model
    try:
        from rtparse.exporters.onnx import to_onnx
        from rtparse.train.checkpoint import load_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    path = folder / "exported.onnx"
    path.write_bytes(to_onnx(*load_checkpoint(Path(model))).SerializeToString())
    return str(path)
