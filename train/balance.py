"""Shifts of the classes' logits that make mIoU highest.

Class weights make a network name rare classes too often, and cross-entropy asks for the most probable class, not for
the largest overlap. A constant for each class, fitted on training pictures and added to the last convolution's bias,
mends both at no cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import MIRROR_PAIRS, NUM_CLASSES
from rtparse.engines import Engine
from rtparse.errors import UsageError
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.train.compose import Pair
from rtparse.train.metrics import class_iou

STEPS = (0.4, 0.2, 0.1)
"""Sizes of the steps of the search, two rounds over the classes with each."""
PENALTY = 0.002
"""Cost in mIoU of a mean squared shift of 1: a class that hardly occurs stays where it is."""
MOST_PIXELS = 500_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels that have a label: logits (P, 20) float32 at the network's resolution, labels (P,) int64."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def miou(self, shifts: NDArray[np.float32]) -> float:
        """Mean over the classes that are in the labels, in 0..1."""
        found = (self.logits + shifts).argmax(axis=1)
        counts = np.bincount(self.labels * NUM_CLASSES + found, minlength=NUM_CLASSES**2)
        return float(np.nanmean(class_iou(counts.reshape(NUM_CLASSES, NUM_CLASSES))))


def sample(engine: Engine, pairs: Iterable[Pair], seed: int = 0) -> Sample:
    """Logits of up to 500 000 random labelled pixels of the pictures, each at its own aspect ratio.

    Raises UsageError when the pictures have no labelled pixel.
    """
    metadata = engine.metadata
    logits, labels = [], []
    for pair in pairs:
        frame_hw = pair.labels.shape[0], pair.labels.shape[1]
        size = network_size(frame_hw, metadata.size_hw[0] * metadata.size_hw[1], engine.sizes)
        box = Letterbox.fit(frame_hw, size)
        found = engine.infer(preprocess(pair.image, box, metadata)[None])[0]
        # Labels at the logits' resolution, the padding without one.
        rows, columns = np.indices(found.shape[1:])
        scale = size[0] / found.shape[1]
        y = ((rows + 0.5) * scale - box.top) * frame_hw[0] / box.content_hw[0]
        x = ((columns + 0.5) * scale - box.left) * frame_hw[1] / box.content_hw[1]
        there = cv2.remap(
            pair.labels,
            (x - 0.5).astype(np.float32),
            (y - 0.5).astype(np.float32),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(255.0,),
        )
        labelled = np.asarray(there) < NUM_CLASSES
        logits.append(found[:, labelled].T)
        labels.append(np.asarray(there)[labelled].astype(np.int64))
    count = sum(map(len, labels))
    if not count:
        raise UsageError("the pictures have no labelled pixel to fit on", "give labelled pictures")
    chosen = np.random.default_rng(seed).permutation(count)[:MOST_PIXELS]
    return Sample(np.concatenate(logits)[chosen], np.concatenate(labels)[chosen])


def fit_shifts(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """(20,) float32 to add to the logits: a search, class by class, for the highest mean of the samples' mIoU.

    Left and right share a shift, and the background has none.
    """

    def merit(shifts: NDArray[np.float32]) -> float:
        return float(np.mean([each.miou(shifts) for each in samples]) - PENALTY * np.mean(shifts**2))

    paired = {side for pair in MIRROR_PAIRS for side in pair}
    groups = [[label] for label in range(1, NUM_CLASSES) if label not in paired] + [list(pair) for pair in MIRROR_PAIRS]
    shifts = np.zeros(NUM_CLASSES, np.float32)
    best = merit(shifts)
    for step in (size for size in STEPS for _ in range(2)):
        for group in groups:
            for move in (step, -step):
                while True:
                    tried = shifts.copy()
                    tried[group] += np.float32(move)
                    found = merit(tried)
                    if found <= best + 1e-5:
                        break
                    shifts, best = tried, found
    return shifts
