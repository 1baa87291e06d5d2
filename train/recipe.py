"""Every hyperparameter of a training run, and the values of each preset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtparse.metadata import SIZE_MULTIPLE

ASPECTS = ((4 / 3, 0.45), (1.0, 0.1), (3 / 4, 0.15), (9 / 16, 0.3))
"""Height over width of a batch's pictures, and how often: upright photos, and the frames of cameras and films."""

_SIZES = 0x73697A65
"""Names the random stream of sizes, "size": those of a batch's pictures are named by small numbers."""

FLOOR, DECAY = 0.02, 0.3
"""Of the trapezoid schedule: it falls linearly to `FLOOR` of the rate over the last `DECAY` of the steps."""


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever the network and the data are.

    style: how pictures are drawn, see `rtparse.train.mix.Mix`.
    size_hw: of every picture, multiples of 16; None draws the aspect ratio of each step from `ASPECTS`.
    pixels: height times width of a picture where `size_hw` is None.
    window: height and width of the part of it, mostly about people, that a step sees; a multiple of 16, None for all.
    epochs: length of the run where no number of steps is given.
    batch: pictures of an optimizer step, over all ranks. accumulate: micro-batches that a rank makes of its share; each
        counts the same in a step, as each rank does, however many of its pixels are labelled.
    lr: learning rate; the encoder takes `encoder_lr` of it.
    schedule: "poly" is (1 - step / steps) ** 0.9, "trapezoid" a constant rate with a linear end.
    warmup: steps of linear growth at the beginning.
    clip_norm: largest norm of the gradient, None for any.
    class_balance: exponent p of the class weights frequency ** -p, 0 for none.
    ohem: share of the labelled pixels, the hardest, that the loss counts, in 1/16..1.
    auxiliary_stride: the deep supervision is judged on every Nth label pixel of each axis.
    ema: decay of the running mean of the weights, 0 for none.
    teacher_weight: share of the teacher in the loss; temperature: of its distillation.
    precision: "auto" is what the machine computes well, see `rtparse.train.fabric.settled`.
    hold_out: every Nth training picture is kept for judging, 0 for none.
    """

    style: Literal["paper", "video"] = "video"
    size_hw: tuple[int, int] | None = None
    pixels: int = 256 * 192
    window: int | None = None
    epochs: int = 120
    batch: int = 16
    accumulate: int = 1
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 1e-3
    encoder_lr: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: Literal["poly", "trapezoid"] = "trapezoid"
    warmup: int = 100
    clip_norm: float | None = 5.0
    class_balance: float = 0.1
    ohem: float = 1.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.5
    auxiliary_stride: int = 2
    ema: float = 0.998
    teacher_weight: float = 0.5
    temperature: float = 2.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    seed: int = 0
    hold_out: int = 14

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step (0, 1, ...) of a run of `steps`."""
        if self.schedule == "poly":
            factor = math.pow(1 - min(step / steps, 1.0), 0.9)
        else:
            factor = min(1.0, max(FLOOR, (steps - step) / (DECAY * steps)))
        return self.lr * factor * min((step + 1) / max(self.warmup, 1), 1.0)

    def batch_size_hw(self, step: int) -> tuple[int, int]:
        """Height and width of a step's pictures, multiples of 16; the same on every rank."""
        if self.size_hw is not None:
            return self.size_hw
        aspects, chances = zip(*ASPECTS, strict=True)
        return self._size_hw(float(np.random.default_rng((self.seed, step, _SIZES)).choice(aspects, p=chances)))

    def upright_hw(self) -> tuple[int, int]:
        """The size that the model file names as its own: that of an upright photo."""
        return self.size_hw or self._size_hw(ASPECTS[0][0])

    def _size_hw(self, aspect: float) -> tuple[int, int]:
        height, width = (math.sqrt(self.pixels * ratio) / SIZE_MULTIPLE for ratio in (aspect, 1 / aspect))
        return max(round(height), 1) * SIZE_MULTIPLE, max(round(width), 1) * SIZE_MULTIPLE


RECIPES = {
    # Lu et al. 2020, section III; momentum and weight decay are not in it.
    "paper": Recipe(
        style="paper",
        size_hw=(256, 192),
        optimizer="sgd",
        lr=0.002,
        encoder_lr=1.0,
        weight_decay=5e-4,
        schedule="poly",
        warmup=0,
        clip_norm=None,
        class_balance=0.0,
        auxiliary_stride=1,
        ema=0.0,
        precision="fp32",
        hold_out=0,
    ),
    "base": Recipe(),
    "small": Recipe(),
    "nano": Recipe(),
}
"""By the name of the preset in `rtparse.train.model.PRESETS`."""
