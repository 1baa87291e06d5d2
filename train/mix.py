"""The training mix: upright crops, composed frames and synthetic people, an endless, reproducible row of batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import IGNORE_LABEL, NUM_CLASSES
from rtparse.train import augment
from rtparse.train.compose import Pair, cover, cut_out, paste, remove_person, scaled


@dataclass(frozen=True)
class MixWeights:
    """How often a picture of a batch is of which kind; they are normalized to sum to 1.

    crop: one photo, upright, zoomed 0.5 to 1.5. scene: several cut-out people before a photo's background.
    synthetic: rendered people.
    """

    crop: float = 0.4
    scene: float = 0.45
    synthetic: float = 0.15


@dataclass(frozen=True, eq=False)
class Batch:
    """images: (N, H, W, 3) uint8 BGR; labels: (N, H, W) uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Mix:
    """Draws batches. Thread-safe: the batch of a step depends on the seed and the step alone, so training can resume.

    photos: real pairs, one person each. synthetic: rendered pairs of any size; without any their share goes to photos.
    """

    def __init__(self, photos: Sequence[Pair], synthetic: Sequence[Pair], weights: MixWeights, seed: int) -> None:
        self._photos = photos
        self._synthetic = synthetic
        self._people = [cut_out(photo) for photo in photos]
        self._backgrounds = [remove_person(photo) for photo in photos]
        self._chance = _repeat_rare(photos)
        shares = np.array([weights.crop, weights.scene, weights.synthetic if synthetic else 0.0])
        self._shares = shares / shares.sum()
        self._seed = seed

    def batch(self, step: int, count: int, size_hw: tuple[int, int]) -> Batch:
        """`count` pictures of one size."""
        rng = np.random.default_rng((self._seed, step))
        pairs = [self._draw(rng, size_hw) for _ in range(count)]
        return Batch(np.stack([pair.image for pair in pairs]), np.stack([pair.labels for pair in pairs]))

    def _draw(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        kind = rng.choice(3, p=self._shares)
        if kind == 0:
            pair = self._crop(rng, size_hw)
        elif kind == 1:
            pair = self._scene(rng, size_hw)
        else:
            pair = self._rendered(rng, size_hw)
        pair = augment.mirror(pair, rng)
        return Pair(augment.camera(augment.light(pair.image, rng), rng), pair.labels)

    def _crop(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        photo = augment.recolor_garments(self._photos[int(rng.choice(len(self._photos), p=self._chance))], rng)
        fits = size_hw[0] / photo.labels.shape[0], size_hw[1] / photo.labels.shape[1]
        # A landscape window around an upright photo is mostly empty: between showing all of it and filling the window.
        fit = rng.uniform(min(fits), max(fits)) if size_hw[1] > size_hw[0] else min(fits)
        zoom = np.exp(rng.uniform(np.log(0.5), np.log(1.5))) if rng.random() < 0.7 else rng.uniform(1.5, 3.0)
        # The farther in, the more of the picture may be out of the window.
        reach = max(0.05, 0.5 - 0.5 / zoom)
        centre = 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach) * 0.5
        return augment.view(photo, size_hw, fit * zoom, rng.normal(0, 8), centre, IGNORE_LABEL)

    def _scene(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        height, width = size_hw
        background = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        if rng.random() < 0.5:  # a part of it, so that backgrounds have detail at every scale
            part = rng.uniform(0.4, 1.0)
            rows, columns = (int(side * part) for side in background.shape[:2])
            top, left = rng.integers(background.shape[0] - rows + 1), rng.integers(background.shape[1] - columns + 1)
            background = background[top : top + rows, left : left + columns]
        canvas = cover(background, size_hw, (rng.random(), rng.random())).copy()
        scene = Pair(canvas, np.zeros(size_hw, np.uint8))
        count = int(rng.choice(5, p=(0.04, 0.3, 0.3, 0.2, 0.16)))
        heights = np.sort(np.exp(rng.uniform(np.log(0.12), np.log(1.1), count))) * height
        for shown in heights:
            person = self._people[int(rng.choice(len(self._people), p=self._chance))]
            person = augment.recolor_garments(augment.mirror(person, rng), rng)
            waist_up = rng.random() < 0.3
            person = scaled(person, max(round(shown / (rng.uniform(0.3, 0.65) if waist_up else 1.0)), 8))
            if rng.random() < 0.4:  # its own exposure, as if taken from another photo, which it was
                person = Pair(augment.light(person.image, rng), person.labels)
            spare = height - person.labels.shape[0]
            top = height - round(shown) if waist_up else round(rng.uniform(min(0, spare), max(0, spare)))
            left = round(rng.uniform(-0.5, width / person.labels.shape[1] - 0.5) * person.labels.shape[1])
            paste(scene, person, top, left)
        return scene

    def _rendered(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        pair = self._synthetic[int(rng.integers(len(self._synthetic)))]
        fill = max(size_hw[0] / pair.labels.shape[0], size_hw[1] / pair.labels.shape[1])
        zoom = rng.uniform(1.0, 1.4)
        reach = 0.5 - 0.5 / zoom
        centre = 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach)
        return augment.view(pair, size_hw, fill * zoom, rng.normal(0, 5), centre, IGNORE_LABEL)


def _repeat_rare(photos: Sequence[Pair]) -> NDArray[np.float64]:
    """Chance of each photo: larger where it shows classes that few photos have (Gupta et al., LVIS, repeat factors)."""
    present = np.array([np.bincount(photo.labels.ravel(), minlength=256)[:NUM_CLASSES] > 0 for photo in photos])
    frequency = present.mean(axis=0).clip(1e-6)
    factor = np.sqrt(0.25 / frequency).clip(1.0, 4.0)
    repeats = np.where(present, factor, 1.0).max(axis=1)
    return np.asarray(repeats / repeats.sum())
