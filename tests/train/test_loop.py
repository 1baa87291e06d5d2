"""The loss by hand, and a tiny network that learns, stops and goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rtparse.classes import IGNORE_LABEL
from rtparse.errors import RtparseError
from rtparse.train.checkpoint import load_checkpoint
from rtparse.train.compose import Pair
from rtparse.train.loop import TrainOptions, batch_size_hw, normalized, train
from rtparse.train.losses import parsing_loss, rare_class_weights
from rtparse.train.mix import Mix, MixWeights
from rtparse.train.model import CDLinkNet, ModelConfig, Supervised, build_model

TINY = ModelConfig("resnet18", smooth_channels=16)


def tiny() -> CDLinkNet:
    torch.manual_seed(0)
    return build_model(TINY)


def test_loss_is_the_papers_sum_and_skips_ignored_pixels() -> None:
    labels = torch.full((1, 4, 4), 3)
    labels[0, 0] = IGNORE_LABEL
    flat = torch.zeros(1, 20, 2, 2)  # every class alike: cross-entropy log(20)
    sure = flat.clone()
    sure[:, 3] = 50.0
    expected = np.log(20)
    assert parsing_loss(flat, labels).item() == pytest.approx(expected)
    assert parsing_loss(sure, labels).item() == pytest.approx(0, abs=1e-6)
    assert parsing_loss(Supervised(sure, [flat] * 4), labels).item() == pytest.approx(0.5 * 4 * expected)
    assert parsing_loss(Supervised(flat, [sure] * 4), labels).item() == pytest.approx(expected)


def test_rare_classes_weigh_more() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[:2] = 1
    weights = rare_class_weights([Pair(np.zeros((100, 100, 3), np.uint8), labels)])
    assert weights[1] / weights[0] == pytest.approx((0.98 / 0.02) ** 0.3, rel=1e-3)
    assert weights.max() <= 8


def test_normalized_is_rgb_less_mean_over_deviation() -> None:
    blue = np.zeros((1, 16, 16, 3), np.uint8)
    blue[..., 0] = 255
    out = normalized(blue)[0, :, 0, 0]
    assert out.tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, (1 - 0.406) / 0.225], abs=1e-5)


def test_batches_come_upright_and_wide_at_one_cost() -> None:
    options = TrainOptions(steps=1)
    sizes = {batch_size_hw(step, options) for step in range(100)}
    assert (256, 192) in sizes
    assert any(width > height for height, width in sizes)
    assert all(height % 16 == 0 and width % 16 == 0 for height, width in sizes)
    assert all(0.85 < height * width / (256 * 192) < 1.15 for height, width in sizes)


def test_loss_falls(people: list[Pair], tmp_path: Path) -> None:
    losses: list[float] = []
    mix = Mix(people[:2], [], MixWeights(1, 0, 0), seed=0)
    options = TrainOptions(steps=40, batch=4, pixels=64 * 48, lr=2e-3, warmup=5, bf16=False)
    train(tiny(), mix, options, tmp_path, "tiny", on_step=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-8:]) < 0.7 * np.mean(losses[:4])
    model, metadata = load_checkpoint(tmp_path / "model.safetensors")
    assert metadata.name == "tiny"
    assert model.config == TINY


def test_stopped_run_goes_on_as_if_never_stopped(people: list[Pair], tmp_path: Path) -> None:
    mix = Mix(people[:4], people[4:], MixWeights(), seed=0)
    options = TrainOptions(steps=6, batch=2, pixels=64 * 48, warmup=2, bf16=False)
    train(tiny(), mix, options, tmp_path / "whole", "tiny")

    def stop(step: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), mix, options, tmp_path / "parts", "tiny", on_step=stop)
    steps: list[int] = []
    train(tiny(), mix, options, tmp_path / "parts", "tiny", on_step=lambda step, loss: steps.append(step))
    assert steps == [4, 5, 6]
    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_loss_that_is_no_number_stops(people: list[Pair], tmp_path: Path) -> None:
    model = tiny()
    model.classify.weight.data.fill_(float("nan"))
    options = TrainOptions(steps=2, batch=2, pixels=64 * 48, bf16=False)
    with pytest.raises(RtparseError, match="loss is nan at step 0"):
        train(model, Mix(people[:2], [], MixWeights(), seed=0), options, tmp_path, "tiny")
