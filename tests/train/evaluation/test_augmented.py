"""Averages over mirrored and rescaled inputs, against engines whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.classes import CLASSES, NUM_CLASSES, mirror_labels
from rtparse.engines import Engine, open_engine
from rtparse.engines.fake import FakeEngine
from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.evaluation.augmented import AugmentedEngine, softmax

LEFT_ARM, RIGHT_ARM, FACE = (CLASSES.index(name) for name in ("left-arm", "right-arm", "face"))
Batch = NDArray[np.float32]


@pytest.fixture
def engine(tiny_onnx: Path):
    with open_engine(tiny_onnx, "onnxruntime") as opened:
        yield opened


def noise(*shape: int) -> Batch:
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def exchanged(maps: Batch) -> Batch:
    """Channels of a mirrored picture, written out: 14 and 15, 16 and 17, 18 and 19 change places."""
    return maps[:, [*range(14), 15, 14, 17, 16, 19, 18]]


def test_without_anything_it_is_the_engine(engine: Engine) -> None:
    batch = noise(2, 3, 64, 96)
    assert np.exp(AugmentedEngine(engine).infer(batch)) == pytest.approx(softmax(engine.infer(batch)), abs=1e-6)


def test_flip_is_the_mean_of_both_by_hand() -> None:
    def answer(batch: Batch) -> Batch:
        """Left arm where the input is bright, face elsewhere."""
        logits = np.zeros((len(batch), NUM_CLASSES, batch.shape[2] // 2, batch.shape[3] // 2), np.float32)
        bright = batch[:, 0, ::2, ::2] > 0
        logits[:, LEFT_ARM], logits[:, FACE] = bright * 2.0, ~bright * 1.0
        return logits

    batch = np.zeros((1, 3, 32, 32), np.float32)
    batch[..., :16] = 1
    found = np.exp(AugmentedEngine(FakeEngine(answer), flip=True).infer(batch))
    # On the left the picture says left arm, and so does the mirror image, whose left arm is a right arm.
    arm, other = np.exp(2) / (np.exp(2) + 19), 1 / (np.exp(2) + 19)
    assert found[0, LEFT_ARM, :, :8] == pytest.approx((arm + other) / 2, abs=1e-6)
    assert found[0, RIGHT_ARM, :, :8] == pytest.approx((arm + other) / 2, abs=1e-6)
    assert found[0, FACE, :, :8] == pytest.approx(other, abs=1e-6)
    assert found[0, FACE, :, 8:] == pytest.approx(np.e / (np.e + 19), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_mirrored_input_gives_exactly_the_mirrored_answer(engine: Engine) -> None:
    averaged = AugmentedEngine(engine, flip=True)
    batch = noise(1, 3, 64, 96)
    there, mirrored = averaged.infer(batch), averaged.infer(np.ascontiguousarray(batch[..., ::-1]))
    assert not np.array_equal(engine.infer(batch), exchanged(engine.infer(batch[..., ::-1].copy()))[..., ::-1])
    assert np.array_equal(mirrored, exchanged(there)[..., ::-1])


def test_a_parser_of_it_mirrors_too(engine: Engine) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with Parser(AugmentedEngine(engine, flip=True), size=(64, 64)) as parser:
        labels, mirrored = (parser(each).labels for each in (image, np.ascontiguousarray(image[:, ::-1])))
    assert (mirrored == mirror_labels(labels)).mean() > 0.999  # but for ties in the last digit


def test_scales_are_asked_for_and_averaged() -> None:
    asked: list[tuple[int, ...]] = []

    def answer(batch: Batch) -> Batch:
        """Surer of the face the wider the input is."""
        asked.append(batch.shape)
        logits = np.zeros((len(batch), NUM_CLASSES, batch.shape[2] // 2, batch.shape[3] // 2), np.float32)
        logits[:, FACE] = batch.shape[3] / 32
        return logits

    averaged = AugmentedEngine(FakeEngine(answer), scales=(0.5, 1, 1.5))
    assert averaged.input_size((64, 96)) == (96, 144)
    found = np.exp(averaged.infer(np.zeros((2, 3, 96, 144), np.float32)))
    assert asked == [(2, 3, 32, 48), (2, 3, 64, 96), (2, 3, 96, 144)]
    assert found.shape == (2, NUM_CLASSES, 48, 72)
    sure = [np.exp(width / 32) / (np.exp(width / 32) + 19) for width in (48, 96, 144)]
    assert found[:, FACE] == pytest.approx(np.mean(sure), abs=1e-6)


def test_odd_scales_are_rounded_to_multiples_of_16(engine: Engine) -> None:
    averaged = AugmentedEngine(engine, scales=(0.7, 1.0))
    assert averaged.input_size((64, 96)) == (64, 96)
    assert averaged.infer(noise(1, 3, 64, 96)).shape == (1, NUM_CLASSES, 32, 48)


def test_a_parser_gives_the_largest_scale_its_detail(engine: Engine) -> None:
    averaged = AugmentedEngine(engine, scales=(1, 2))
    assert averaged.metadata.size_hw == (128, 128)
    asked = []
    counted = FakeEngine(lambda batch: asked.append(batch.shape[2:]) or engine.infer(batch), metadata=engine.metadata)
    with Parser(AugmentedEngine(counted, scales=(1, 2))) as parser:
        assert parser(np.zeros((200, 200, 3), np.uint8)).labels.shape == (200, 200)
    assert asked == [(64, 64), (128, 128)]


def test_impossible_classes_stay_finite() -> None:
    def answer(batch: Batch) -> Batch:
        logits = np.full((len(batch), NUM_CLASSES, 8, 8), -1000, np.float32)
        logits[:, FACE] = 1000
        return logits

    with Parser(AugmentedEngine(FakeEngine(answer), flip=True), size=(16, 16)) as parser:
        assert (parser(np.zeros((33, 21, 3), np.uint8)).labels == FACE).all()


def test_scales_need_dynamic_sizes(make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    with open_engine(make_onnx(tmp_path / "fixed.onnx", (1, 3, 64, 48)), "onnxruntime") as fixed:
        with pytest.raises(UsageError, match=r"fixed\.onnx has fixed input sizes \(64x48\)"):
            AugmentedEngine(fixed, scales=(1, 1.5))
        assert AugmentedEngine(fixed, flip=True).infer(noise(1, 3, 64, 48)).shape == (1, NUM_CLASSES, 32, 24)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0)])
def test_scales_that_cannot_be_meant(scales: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="expected one positive number"):
        AugmentedEngine(FakeEngine(np.zeros((8, 8), np.uint8)), scales=scales)


def test_left_and_right_of_other_classes_are_not_known() -> None:
    other = ModelMetadata(classes=("background", "person"), palette_rgb=((0, 0, 0), (255, 0, 0)))
    with pytest.raises(UsageError, match="left and right are not known"):
        AugmentedEngine(FakeEngine(np.zeros((8, 8), np.uint8), metadata=other), flip=True)


def test_wrong_batches_and_closing_are_the_engines(engine: Engine) -> None:
    averaged = AugmentedEngine(engine, flip=True)
    with pytest.raises(EngineError, match="multiples of 16"):
        averaged.infer(noise(1, 3, 60, 60))
    averaged.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(noise(1, 3, 64, 64))
