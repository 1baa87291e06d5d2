"""Saying nothing where a model is in doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtparse.engines.base import Engine
from rtparse.errors import UsageError
from rtparse.train.evaluation.augmented import softmax

DOUBT = "doubtful"
"""Name of the class that `ConfidentEngine` adds."""


class ConfidentEngine(Engine):
    """An engine's probabilities, and one class more that has the same probability everywhere: the least to be sure.

    Where no class reaches it, that last class leads. Interpolation leaves a constant as it is, so a Parser finds the
    doubtful pixels of a frame by the frame's own resolution. Thread-safe as far as the engine is.
    """

    def __init__(self, engine: Engine, confidence: float) -> None:
        """Wrap an engine; closing this one closes it. Raises UsageError for a confidence outside 0..1."""
        if not 0 <= confidence <= 1:
            raise UsageError(f"got the confidence {confidence}", "expected a probability from 0 to 1, such as 0.5")
        self._engine = engine
        self._confidence = confidence
        self.kind, self.path, self.sizes = engine.kind, engine.path, engine.sizes
        self.metadata = replace(
            engine.metadata,
            classes=(*engine.metadata.classes, DOUBT),
            palette_rgb=(*engine.metadata.palette_rgb, (0, 0, 0)),
        )

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, classes + 1, h, w) float32; see `Engine.infer`."""
        found = softmax(self._engine.infer(batch))
        doubt = np.full_like(found[:, :1], self._confidence)
        return np.concatenate([found, doubt], axis=1)

    def close(self) -> None:
        self._engine.close()
