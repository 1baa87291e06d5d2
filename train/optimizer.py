"""Optimizers and the learning rate of every step."""

from __future__ import annotations

import torch

from rtparse.train.model import CDLinkNet
from rtparse.train.recipe import Recipe


def build_optimizer(model: CDLinkNet, recipe: Recipe) -> torch.optim.Optimizer:
    """Two groups, the encoder and the rest, each with its `share` of the rate."""
    encoder = list(model.encoder.parameters())
    rest = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": encoder, "share": recipe.encoder_lr}, {"params": rest, "share": 1.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(groups, recipe.lr, weight_decay=recipe.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, a function of its number alone, so that a run that goes on needs no schedule state."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
