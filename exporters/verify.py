"""Whether an engine computes what its network says: the same labels as ONNX Runtime, at every batch size it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from rtparse.engines.base import Engine
from rtparse.errors import EngineError

MIN_AGREEMENT = 0.995
RUNS = 50


@dataclass(frozen=True)
class Verified:
    """An engine beside ONNX Runtime: batch sizes compared, the smallest share of pixels with the same label of any of
    them, and the largest difference of a logit."""

    batches: tuple[int, ...]
    agreement: float
    max_difference: float


def verify(
    engine: Engine,
    reference: onnx.ModelProto,
    pictures: Sequence[NDArray[np.float32]],
    batches: Iterable[int],
) -> Verified:
    """Compare an engine with the graph that it was built from, its batch free or 1.

    pictures: network inputs (1, 3, H, W) float32, of any sizes that the engine offers; a batch holds those of one size,
        repeated as needed. Errors that only show in larger batches are known of TensorRT, so each size is tried.
    Raises EngineError, naming size and batch, where fewer than 99.5 % of a batch's pixels have the same label.
    """
    session = ort.InferenceSession(reference.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    groups: dict[tuple[int, ...], list[NDArray[np.float32]]] = {}
    for picture in pictures:
        groups.setdefault(picture.shape, []).append(picture)
    batches = tuple(sorted(set(batches)))
    least, most = 1.0, 0.0
    for shape, group in groups.items():
        expected = [session.run(None, {name: picture})[0].astype(np.float32) for picture in group]
        for count in batches:
            chosen = [index % len(group) for index in range(count)]
            found = engine.infer(np.concatenate([group[index] for index in chosen]))
            wanted = np.concatenate([expected[index] for index in chosen])
            same = float((found.argmax(1) == wanted.argmax(1)).mean(axis=(1, 2)).min()) if found.size else 0.0
            difference = float(np.abs(found - wanted).max())
            if not same >= MIN_AGREEMENT or not np.isfinite(difference):
                raise EngineError(
                    f"the engine differs from ONNX Runtime at {shape[2]}x{shape[3]} in a batch of {count}: same label "
                    f"on {same:.2%} of a picture's pixels, expected {MIN_AGREEMENT:.1%}; largest logit difference "
                    f"{difference:.2g}",
                    "nothing was written; build with --precision fp32, or report both versions",
                )
            least, most = min(least, same), max(most, difference)
    return Verified(batches, least, most)


def milliseconds(engine: Engine, given: NDArray[np.float32]) -> float:
    """What one run takes, the copies included: the median of 50 after 5 that are not counted."""
    seconds = []
    for _ in range(RUNS + 5):
        started = time.perf_counter()
        engine.infer(given)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[5:]) * 1000
