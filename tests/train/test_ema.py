"""The running mean of the weights, by hand."""

from __future__ import annotations

import pytest
import torch

from rtparse.train.ema import Ema
from rtparse.train.model import ModelConfig, build_model


def test_the_mean_follows_its_ramp_and_counters_are_copied() -> None:
    model = build_model(ModelConfig("resnet18", smooth_channels=16, layer4=False))
    mean = Ema(model, 0.5)
    start = model.classify.bias.detach().clone()
    with torch.no_grad():
        model.classify.bias += 1
        model.encoder.bn1.num_batches_tracked += 7
        model.encoder.bn1.running_mean += 2
    mean.update(model, 1)  # min(0.5, 2 / 11) of the old mean is kept
    assert mean.model.classify.bias.sub(start).tolist() == pytest.approx([9 / 11] * 20, rel=1e-5)
    assert mean.model.encoder.bn1.running_mean.tolist() == pytest.approx([2 * 9 / 11] * 64, rel=1e-5)
    assert mean.model.encoder.bn1.num_batches_tracked == 7
    mean.update(model, 1000)  # the decay itself
    assert mean.model.classify.bias.sub(start).tolist() == pytest.approx([(9 / 11 + 1) / 2] * 20, rel=1e-5)
    assert not mean.model.training
