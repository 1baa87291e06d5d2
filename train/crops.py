"""One photo through a window: the paper's crops, those of video frames, close-ups included, and parts of a picture."""

from __future__ import annotations

import numpy as np

from rtparse.classes import IGNORE_LABEL, class_ids
from rtparse.train import augment
from rtparse.train.compose import Pair

HEAD = class_ids(("hair", "face"))

WINDOWS_ON_PEOPLE = 0.85

PAPER_SCALES = (0.5, 1.5)
PAPER_DEGREES = 20.0
"""Up to so far either way. The paper says "rotation" and no angle."""


def paper_crop(photo: Pair, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
    """Scale 0.5 to 1.5 of what fits the window, rotation, and a random place, cropped or padded with ignored grey."""
    height, width = photo.labels.shape
    scale = min(size_hw[0] / height, size_hw[1] / width) * rng.uniform(*PAPER_SCALES)
    degrees = rng.uniform(-PAPER_DEGREES, PAPER_DEGREES)
    centre = []
    for window, side in zip(size_hw, (height * scale, width * scale), strict=True):
        spare = window - side  # negative: the photo is larger, and what is left of it moves
        start = rng.uniform(min(0.0, spare), max(0.0, spare))
        centre.append((window / 2 - start) / side)
    return augment.view(photo, size_hw, scale, degrees, (centre[0], centre[1]))


def video_crop(photo: Pair, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
    """Zoom 0.5 to 5, mostly upright; the closest are about a head where the photo shows one."""
    fits = size_hw[0] / photo.labels.shape[0], size_hw[1] / photo.labels.shape[1]
    # A landscape window around an upright photo is mostly empty: between showing all of it and filling the window.
    fit = rng.uniform(min(fits), max(fits)) if size_hw[1] > size_hw[0] else min(fits)
    kind = rng.random()
    if kind < 0.65:
        zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(1.5))))
    else:
        zoom = rng.uniform(1.5, 3.0) if kind < 0.92 else rng.uniform(3.0, 5.0)
    centre = _head(photo, rng) if zoom > 3 else None
    if centre is None:
        # The farther in, the more of the picture may be out of the window.
        reach = max(0.05, 0.5 - 0.5 / zoom)
        centre = 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach) * 0.5
    degrees = rng.normal(0, 8) if rng.random() < 0.9 else rng.uniform(-45, 45)
    return augment.view(photo, size_hw, fit * zoom, degrees, centre)


def window(pair: Pair, rng: np.random.Generator, side: int) -> Pair:
    """`side` x `side` pixels of a picture that is as large, mostly near someone, classes of few pixels more often.

    A step then costs what the window costs, and people keep the size that they have in the whole picture.
    """
    people = np.argwhere((pair.labels > 0) & (pair.labels != IGNORE_LABEL))
    free = [length - side for length in pair.labels.shape]
    if people.size and rng.random() < WINDOWS_ON_PEOPLE:
        found = pair.labels[people[:, 0], people[:, 1]]
        chances = 1 / np.sqrt(np.bincount(found)[found])
        centre = people[rng.choice(len(people), p=chances / chances.sum())] + rng.integers(-side // 3, side // 3, 2)
        top, left = (int(np.clip(at - side // 2, 0, most)) for at, most in zip(centre, free, strict=True))
    else:
        top, left = (int(rng.integers(most + 1)) for most in free)
    rows, columns = slice(top, top + side), slice(left, left + side)
    return Pair(pair.image[rows, columns], pair.labels[rows, columns])


def _head(photo: Pair, rng: np.random.Generator) -> tuple[float, float] | None:
    """About the middle of hair and face as (row, column) in 0..1; None for a photo without."""
    rows, columns = np.nonzero(np.isin(photo.labels, HEAD))
    if not rows.size:
        return None
    height, width = photo.labels.shape
    return float(rows.mean() / height + rng.normal(0, 0.05)), float(columns.mean() / width + rng.normal(0, 0.05))
