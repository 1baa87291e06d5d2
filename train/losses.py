"""The loss of C-DLinkNet (paper, equation 2) with what may be added to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from rtparse.classes import IGNORE_LABEL, NUM_CLASSES
from rtparse.train.model import Supervised

OHEM_LEAST = 1 / 16
"""The smallest share of pixels that may be kept: fewer are mostly label errors."""


class Losses(NamedTuple):
    """Scalars: total = refined + weight * auxiliary, or where there is a teacher a mean of that and of taught."""

    total: Tensor
    refined: Tensor
    auxiliary: Tensor
    taught: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ParsingLoss:
    """L_refine + 0.5 (L_D5 + L_D4 + L_D3 + L_D2), each a cross-entropy over the labelled pixels.

    class_weights: (20,) float32 on the labels' device, None for none. label_smoothing: in 0..1.
    ohem: each cross-entropy counts this share of the labelled pixels, those of the largest loss, in 1/16..1.
    auxiliary_stride: D5..D2 are judged on every Nth row and column of the labels.
    """

    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    ohem: float = 1.0
    auxiliary_weight: float = 0.5
    auxiliary_stride: int = 1

    def __call__(self, output: Tensor | Supervised, labels: Tensor) -> Losses:
        """output: of CDLinkNet. labels: (N, H, W) int64, 255 is ignored; a batch without labelled pixels costs 0."""
        if isinstance(output, Tensor):
            refined = self._cross_entropy(output, labels)
            return Losses(refined, refined, torch.zeros_like(refined))
        refined = self._cross_entropy(output.logits, labels)
        coarse = labels[:, :: self.auxiliary_stride, :: self.auxiliary_stride]
        auxiliary = torch.stack([self._cross_entropy(logits, coarse) for logits in output.auxiliary]).sum()
        return Losses(refined + self.auxiliary_weight * auxiliary, refined, auxiliary)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = logits.float()
        if logits.shape[2:] != labels.shape[1:]:
            size = labels.shape[1], labels.shape[2]
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        lost = F.cross_entropy(
            logits,
            labels,
            self.class_weights,
            ignore_index=IGNORE_LABEL,
            reduction="sum" if self.ohem >= 1 else "none",
            label_smoothing=self.label_smoothing,
        )
        weights = self._pixel_weights(labels)
        if self.ohem < 1:
            count = math.ceil(max(self.ohem, OHEM_LEAST) * int((labels != IGNORE_LABEL).sum()))
            lost, hardest = lost.flatten().topk(count)
            weights = weights.flatten()[hardest]
        # The mean over no pixel would be 0 / 0.
        return lost.sum() / weights.sum().clamp(min=1e-6)

    def _pixel_weights(self, labels: Tensor) -> Tensor:
        """Weight of each pixel, 0 for an ignored one: (N, H, W) float32."""
        if self.class_weights is None:
            return (labels != IGNORE_LABEL).float()
        table = self.class_weights.new_zeros(IGNORE_LABEL + 1)
        table[:NUM_CLASSES] = self.class_weights
        return table[labels]


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher || student) of the softmax at temperature T, the mean over all pixels (Hinton et al., 2015).

    student, teacher: logits (N, 20, h, w) of one size. T² keeps the gradient's size independent of the temperature.
    Ignored pixels count too: the teacher has an opinion of them.
    """
    student = F.log_softmax(student.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    return divergence.mean() * temperature**2


def rare_class_weights(pixels: NDArray[np.int64], power: float = 0.3) -> Tensor:
    """(20,) float32: frequency ** -power, 1 for the average pixel, at most 8: small classes must not be given up.

    pixels: (20,) how often each class occurs in the training labels.
    """
    frequency = np.maximum(pixels / max(pixels.sum(), 1), 1e-5)
    weights = frequency**-power
    return torch.from_numpy((weights / (weights * frequency).sum()).clip(0, 8)).float()
