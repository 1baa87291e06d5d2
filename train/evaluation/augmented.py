"""Test-time augmentation: an engine that asks another one several times and averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import CLASSES, MIRROR_PAIRS, NUM_CLASSES
from rtparse.engines.base import Engine, check_batch
from rtparse.errors import UsageError
from rtparse.metadata import SIZE_MULTIPLE


class AugmentedEngine(Engine):
    """The mean of an engine's probabilities over mirrored and rescaled inputs, given as its logarithm.

    The input that it takes is that of the largest scale (of scale 1, where no scale is larger): the smaller ones are
    shrunk from it, so that no scale sees less detail than the frame has. Its metadata says so: `size_hw` is the
    engine's times the largest scale, and a Parser of size "auto" follows. `input_size` does it for a fixed size.
    The answer lies on the grid of that input, log-probabilities (N, classes, h, w) float32.

    Thread-safe as far as the engine is.
    """

    def __init__(self, engine: Engine, *, flip: bool = False, scales: Sequence[float] = (1.0,)) -> None:
        """Wrap an engine; closing this one closes it.

        flip: also ask for the mirrored input, left and right classes exchanged back.
        scales: of the input's sides, each rounded to a multiple of 16.
        Raises UsageError for no scale or one that is not positive, for scales of a model whose input sizes are fixed,
        and for `flip` of a model with other classes than rtparse's, whose left and right are not known.
        """
        if not scales or min(scales) <= 0:
            raise UsageError(f"got the scales {tuple(scales)}", "expected one positive number or more, such as 0.75, 1")
        if engine.sizes is not None and any(scale != 1 for scale in scales):
            offered = ", ".join(f"{h}x{w}" for h, w in engine.sizes)
            raise UsageError(
                f"{engine.path or 'the model'} has fixed input sizes ({offered}), so there are no other scales",
                "leave out the scales, or give a model with dynamic sizes",
            )
        if flip and engine.metadata.classes != CLASSES:
            raise UsageError(
                f"{engine.path or 'the model'} has classes of its own, so its left and right are not known",
                "leave out the flip",
            )
        self._engine = engine
        self._flip = flip
        self._scales = tuple(scales)
        self._largest = max(1.0, *scales)
        self.kind, self.path, self.sizes = engine.kind, engine.path, engine.sizes
        self.metadata = replace(engine.metadata, size_hw=self.input_size(engine.metadata.size_hw))

    def input_size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The input (height, width) to give for `size_hw` to be that of scale 1."""
        return size_hw if self._largest == 1 else _scaled(size_hw, self._largest)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        check_batch(batch, self.sizes)
        found = [self._probabilities(batch, scale) for scale in self._scales]
        mean = np.asarray(np.mean(found, axis=0), np.float32)
        # The floor keeps impossible classes finite: interpolation multiplies them with zero.
        return np.log(np.maximum(mean, np.finfo(np.float32).tiny))

    def close(self) -> None:
        self._engine.close()

    def _probabilities(self, batch: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        """At one scale, mirrored too where asked for, on the grid of the whole batch."""
        given = _resized(batch, _scaled(batch.shape[2:], scale / self._largest))
        found = softmax(self._engine.infer(given))
        if self._flip:
            mirrored = softmax(self._engine.infer(np.ascontiguousarray(given[..., ::-1])))
            found += mirrored[:, _MIRRORED, :, ::-1]
            found /= 2
        grid_hw = [
            round(side * whole / part)
            for side, whole, part in zip(found.shape[2:], batch.shape[2:], given.shape[2:], strict=True)
        ]
        return _resized(found, grid_hw)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (N, classes, h, w) float32 of logits, a new array; they sum to 1 over the classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _mirrored() -> NDArray[np.intp]:
    order = np.arange(NUM_CLASSES)
    for left, right in MIRROR_PAIRS:
        order[left], order[right] = right, left
    return order


_MIRRORED = _mirrored()
"""Which class each channel of a mirrored input stands for."""


def _scaled(size_hw: Sequence[int], scale: float) -> tuple[int, int]:
    height, width = (max(1, round(side * scale / SIZE_MULTIPLE)) * SIZE_MULTIPLE for side in size_hw)
    return height, width


def _resized(planes: NDArray[np.float32], size_hw: Sequence[int]) -> NDArray[np.float32]:
    """(N, C, H, W) float32 at another size: by area when shrinking, bilinearly when enlarging."""
    if planes.shape[2:] == tuple(size_hw):
        return planes
    height, width = size_hw
    shrinks = height < planes.shape[2] or width < planes.shape[3]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = [
        cv2.resize(plane, (width, height), interpolation=interpolation)
        for plane in planes.reshape(-1, *planes.shape[2:])
    ]
    return np.asarray(resized, np.float32).reshape(*planes.shape[:2], height, width)
