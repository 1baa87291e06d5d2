"""An engine without a model, for the tests of applications that use rtparse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtparse.engines.base import Engine, check_batch
from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata

CONFIDENCE = 10.0
"""Logit of the drawn class; all others are 0."""


class FakeEngine(Engine):
    """Answers every input with the same picture, or with what a function computes. Deterministic.

        picture = np.zeros((48, 64), np.uint8)
        picture[10:20, 30:40] = CLASSES.index("face")
        with Parser(FakeEngine(picture)) as parser: ...

    The picture lies over the whole network input, so over the frame where the frame fills it (see Parser's `size`).
    """

    kind = "fake"
    path = ""

    def __init__(
        self,
        answer: NDArray[np.uint8] | Callable[[NDArray[np.float32]], NDArray[np.float32]],
        *,
        metadata: ModelMetadata | None = None,
        sizes: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        """Raises UsageError for a picture that is not (h, w) uint8 of class ids.

        answer: labels (h, w) uint8, scaled to half the input's size by nearest neighbour; or a function from the batch
            (N, 3, H, W) float32 to logits (N, classes, h, w) float32, thread-safe.
        """
        self.metadata = metadata or ModelMetadata()
        self.sizes = sizes
        self._answer = answer
        self._closed = False
        classes = len(self.metadata.classes)
        if isinstance(answer, np.ndarray) and (answer.ndim != 2 or answer.dtype != np.uint8 or answer.max() >= classes):
            raise UsageError(
                f"got a picture of shape {answer.shape} and dtype {answer.dtype}",
                f"expected (h, w) uint8 with ids below {classes}",
            )

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._closed:
            raise EngineError("the engine was closed", "open it again")
        check_batch(batch, self.sizes)
        if not isinstance(self._answer, np.ndarray):
            return self._answer(batch)
        rows, columns = (
            np.arange(side // 2) * drawn // (side // 2)
            for side, drawn in zip(batch.shape[2:], self._answer.shape, strict=True)
        )
        picture = self._answer[rows][:, columns]
        one_hot = (picture == np.arange(len(self.metadata.classes))[:, None, None]) * np.float32(CONFIDENCE)
        return np.repeat(one_hot[None], len(batch), 0)

    def close(self) -> None:
        self._closed = True
