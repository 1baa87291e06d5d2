"""What every engine offers, whatever runs it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rtparse.metadata import ModelMetadata


class Engine(Protocol):
    """A loaded model.

    kind: "onnxruntime", "torch", ...
    path: the model file, or "" for one that has none.
    metadata: what the file says of itself.
    sizes: the (height, width) input sizes on offer; None when any multiple of 16 is.
    """

    kind: str
    path: str
    metadata: ModelMetadata
    sizes: tuple[tuple[int, int], ...] | None

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Network input (N, 3, H, W) float32, normalized, to logits (N, classes, h, w) float32.

        Logits come at the network's own resolution (h = H/2, w = W/2 for C-DLinkNet) and belong to the caller.
        Thread-safe. Raises EngineError for a size that is not on offer or a failed run.
        """
        ...

    def close(self) -> None:
        """Free the model. Calling it twice does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
