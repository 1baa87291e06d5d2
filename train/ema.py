"""A running mean of the weights: steadier than the weights themselves, so it is what is exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from rtparse.train.model import CDLinkNet


class Ema:
    """mean = d * mean + (1 - d) * weights after every step, with d = min(decay, (step + 1) / (step + 10)).

    The ramp lets the mean forget the random weights of the beginning. Counters are copied. `model` is the network in
    evaluation mode with the mean as its weights.
    """

    def __init__(self, model: CDLinkNet, decay: float) -> None:
        self._decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: CDLinkNet, step: int) -> None:
        """Take in the weights after `step` steps."""
        means: list[Tensor] = []
        weights: list[Tensor] = []
        for mean, weight in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                means.append(mean)
                weights.append(weight)
            else:
                mean.copy_(weight)
        decay = min(self._decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(means, weights, 1 - decay)
