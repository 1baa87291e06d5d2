"""Frames composed of several photos: people cut out by their labels before another photo's background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse.train import augment
from rtparse.train.compose import Pair, cover, cut_out, paste, scaled, turned
from rtparse.train.photos import Photos

COUNTS = (0, 1, 2, 3, 4, 6, 9)
CHANCES = (0.05, 0.3, 0.25, 0.15, 0.11, 0.09, 0.05)
"""People of a scene, and how often: from an empty room to a crowd."""

WIDEST = 2.0
"""A cut-out is at most so many times as wide as the frame."""

CROWD = 5
"""From so many people on, nobody is larger than 0.6 of the frame."""


def scene(photos: Photos, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
    """0 to 9 people, 0.12 to 1.1 of the frame high, some cut at the waist by its lower edge, some lying or leaning."""
    height, width = size_hw
    composed = Pair(backdrop(photos, rng, size_hw), np.zeros(size_hw, np.uint8))
    count = int(rng.choice(COUNTS, p=CHANCES))
    tallest = 1.1 if count < CROWD else 0.6
    # The larger a person appears, the nearer it is: draw from far to near.
    for shown in np.sort(np.exp(rng.uniform(np.log(0.12), np.log(tallest), count))) * height:
        person = cut_out(photos.pair(photos.pick(rng)))
        waist_up = rng.random() < 0.3
        # Scaled before it is dyed and turned: most people are far smaller than their photo.
        wanted = shown / (rng.uniform(0.3, 0.65) if waist_up else 1.0)
        # What is left of someone may be a sliver along the photo's edge, which would become wider than any frame.
        widest = WIDEST * width * person.labels.shape[0] / person.labels.shape[1]
        person = scaled(person, round(min(max(wanted, 8), widest)))
        person = augment.recolor_garments(augment.mirror(person, rng), rng)
        if rng.random() < 0.4:  # its own exposure, as if taken from another photo, which it was
            person = Pair(augment.light(person.image, rng), person.labels)
        if not waist_up and rng.random() < 0.15:
            person = turned(person, rng.uniform(-90, 90))
        spare = height - person.labels.shape[0]
        top = height - round(shown) if waist_up else round(rng.uniform(min(0, spare), max(0, spare)))
        # At least half of its width is inside the frame.
        left = round(rng.uniform(-0.5, width / person.labels.shape[1] - 0.5) * person.labels.shape[1])
        paste(composed, person, top, left)
    return composed


def backdrop(photos: Photos, rng: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A photo without its people, or a part of it, that covers a size: a new (H, W, 3) uint8 BGR."""
    background = photos.background(photos.pick(rng, rare=False))
    if rng.random() < 0.5:  # a part of it, so that backgrounds have detail at every scale
        part = rng.uniform(0.4, 1.0)
        rows, columns = (max(int(side * part), 1) for side in background.shape[:2])
        top, left = rng.integers(background.shape[0] - rows + 1), rng.integers(background.shape[1] - columns + 1)
        background = background[top : top + rows, left : left + columns]
    return cover(background, size_hw, (rng.random(), rng.random())).copy()


def occluded(pair: Pair, photos: Photos, rng: np.random.Generator) -> Pair:
    """One to three things before the picture: upright rectangles of other photos' backgrounds, labelled background."""
    height, width = pair.labels.shape
    covered = Pair(pair.image.copy(), pair.labels.copy())
    for _ in range(rng.integers(1, 4)):
        area, aspect = rng.uniform(0.01, 0.08) * height * width, np.exp(rng.uniform(-2, 2))
        rows = int(min(height * 0.9, max(3, np.sqrt(area * aspect))))
        columns = int(min(width * 0.9, max(3, np.sqrt(area / aspect))))
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        box = np.s_[top : top + rows, left : left + columns]
        covered.image[box] = backdrop(photos, rng, (rows, columns))
        covered.labels[box] = 0
    return covered
