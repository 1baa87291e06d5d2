"""Engines beside ONNX Runtime, right ones and wrong ones."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from rtparse.engines import open_engine
from rtparse.engines.fake import FakeEngine
from rtparse.errors import EngineError
from rtparse.exporters.graph import specialize
from rtparse.exporters.precision import to_half
from rtparse.exporters.verify import milliseconds, verify
from rtparse.metadata import ModelMetadata


@pytest.fixture(scope="module")
def reference(network: onnx.ModelProto) -> onnx.ModelProto:
    return specialize(network)


@pytest.fixture(scope="module")
def pictures(picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    wide = np.random.default_rng(1).normal(size=(1, 3, 48, 80)).astype(np.float32)
    return [picture, picture[..., ::-1].copy(), wide]


def test_another_engine_of_the_same_file_agrees(reference, pictures, tmp_path) -> None:
    half = to_half(reference, pictures[:1], keep_io=True).proto
    helper.set_model_props(half, ModelMetadata(name="half").to_props())
    path = tmp_path / "half.onnx"
    onnx.save(half, path)
    with open_engine(path, "onnxruntime") as engine:
        found = verify(engine, reference, pictures, range(1, 4))
    assert found.batches == (1, 2, 3)
    assert found.agreement >= 0.995
    assert found.max_difference < 0.1


@pytest.mark.parametrize(
    ("wrong_from", "wrong", "message"),
    [
        (8, lambda logits: np.roll(logits[-1], 1, 0), r"at 64x48 in a batch of 8: same label on \d"),
        (1, lambda logits: np.full_like(logits[-1], np.nan), r"in a batch of 1: .* largest logit difference nan"),
        (3, lambda logits: logits[0] * np.inf, "in a batch of 3"),
    ],
)
def test_an_error_in_large_batches_only_is_found(reference, pictures, logits_of, wrong_from, wrong, message) -> None:
    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = logits_of(reference, batch)
        if len(batch) >= wrong_from:
            logits[-1] = wrong(logits)
        return logits

    engine = FakeEngine(answer)
    if wrong_from > 1:
        assert verify(engine, reference, pictures[:2], range(1, wrong_from)).agreement == 1
    with np.errstate(invalid="ignore"), pytest.raises(EngineError, match=message):
        verify(engine, reference, pictures[:2], range(1, 9))


def test_every_size_is_compared(reference, pictures, logits_of) -> None:
    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = logits_of(reference, batch)
        return logits if batch.shape[2] == 64 else -logits

    with pytest.raises(EngineError, match="at 48x80 in a batch of 1"):
        verify(FakeEngine(answer), reference, pictures, [1])


def test_milliseconds(picture) -> None:
    assert 0 < milliseconds(FakeEngine(np.zeros((4, 4), np.uint8)), picture) < 1000
