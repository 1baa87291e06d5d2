"""The loss of C-DLinkNet (paper, equation 2) and the class weights for rare classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rtparse.classes import IGNORE_LABEL, NUM_CLASSES
from rtparse.train.compose import Pair
from rtparse.train.model import Supervised

AUXILIARY_WEIGHT = 0.5


def parsing_loss(output: Tensor | Supervised, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """L_refine + 0.5 (L_D5 + L_D4 + L_D3 + L_D2), each a cross-entropy at the labels' size.

    output: of CDLinkNet. labels: (N, H, W) int64, 255 is ignored. class_weights: (20,) or None for none.
    """
    if isinstance(output, Tensor):
        return _cross_entropy(output, labels, class_weights)
    auxiliary = sum((_cross_entropy(logits, labels, class_weights) for logits in output.auxiliary), torch.zeros(()))
    return _cross_entropy(output.logits, labels, class_weights) + AUXILIARY_WEIGHT * auxiliary


def _cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
    size = labels.shape[1], labels.shape[2]
    full = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
    return F.cross_entropy(full, labels, class_weights, ignore_index=IGNORE_LABEL)


def rare_class_weights(pairs: Sequence[Pair], power: float = 0.3) -> Tensor:
    """(20,) float32: frequency ** -power, 1 for the average pixel, at most 8: small classes must not be given up."""
    counts = sum(
        (np.bincount(pair.labels.ravel(), minlength=256)[:NUM_CLASSES] for pair in pairs), np.zeros(NUM_CLASSES)
    )
    frequency = np.maximum(counts / counts.sum(), 1e-5)
    weights = frequency**-power
    return torch.from_numpy((weights / (weights * frequency).sum()).clip(0, 8)).float()
