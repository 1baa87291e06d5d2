"""PyTorch: the reference that exports are compared with, and the way to try a checkpoint without exporting it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.engines.base import Engine, check_batch
from rtparse.errors import EngineError, MissingDependencyError, UsageError


class TorchEngine(Engine):
    """A .safetensors checkpoint of rtparse's training, on a CUDA device or else the CPU."""

    kind = "torch"
    sizes = None

    def __init__(self, path: str | Path, device: int | None = None) -> None:
        """device: which GPU; None is the first, where torch has one.

        Raises MissingDependencyError without torch, UsageError for a missing file or a GPU that is not there,
        EngineError for another file.
        """
        try:
            import torch

            from rtparse.train.checkpoint import load_checkpoint
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "safetensors"):
                raise
            raise MissingDependencyError(error.name, "train") from None
        if device is not None and not 0 <= device < torch.cuda.device_count():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            there = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
            raise UsageError(f"torch has no GPU {device}", f"choose from: {there}" if there else "there is none")
        self.path = str(path)
        model, self.metadata = load_checkpoint(Path(path))
        self._device = f"cuda:{device or 0}" if torch.cuda.is_available() else "cpu"
        self._model: Any = model.to(self._device)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        model = self._model
        if model is None:
            raise EngineError(f"{self.path} was closed", "open it again")
        check_batch(batch, self.sizes)
        try:
            with torch.inference_mode():
                logits: NDArray[np.float32] = model(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        except RuntimeError as error:
            raise EngineError(f"{self.path} failed on a batch of shape {batch.shape} ({error})") from error
        return logits

    def close(self) -> None:
        self._model = None
