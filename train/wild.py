"""`wild`: 200 composed landscape frames, the second validation set beside ccp-lip val.

Frames of 1280x720 with 1 to 4 val people cut out by their masks, heights log-uniform from 0.15 to 1 of the frame, 30 %
of the people cut at the waist by the lower edge, backgrounds from other val photos with their person painted over.
Committed with its digest before any training; never change what it draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError
from rtparse.train.cache import Arrays, ByteCache
from rtparse.train.compose import Pair, cover, cut_out, paste, remove_person, scaled

COUNT = 200
CACHE_BYTES = 1 << 30
"""Of people and backgrounds that are kept for another frame."""
SIZE_HW = (720, 1280)
SEED = 0
SHA256 = "f8cb1125bfacf88615e6af573df332ace5c0d809aa959d07cf6c2aab9a396782"
"""Of the bytes of image, labels, image, labels, ... in order, made from ccp-lip val by file name (OpenCV 5.0.0)."""


def wild_frames(photos: Sequence[Pair]) -> Iterator[Pair]:
    """The frames in order, each a new Pair of 720x1280. `photos` are the val pairs sorted by file name.

    They are read when they are needed, and some are kept. Raises UsageError for fewer than two: one gives the
    background, the others the people.
    """
    if len(photos) < 2:
        raise UsageError(f"frames are composed of 2 photos or more, got {len(photos)}", "give more labelled photos")
    rng = np.random.default_rng(SEED)
    height, width = SIZE_HW
    cache = ByteCache(CACHE_BYTES)

    def person_of(index: int) -> Pair:
        return Pair(*cache.get(("person", index), lambda: _copies(cut_out(photos[index]))))

    def background_of(index: int) -> NDArray[np.uint8]:
        return cache.get(("background", index), lambda: (remove_person(photos[index]),))[0]

    for _ in range(COUNT):
        chosen = rng.permutation(len(photos))[: 1 + rng.integers(1, 5)]
        background = cover(background_of(int(chosen[0])), SIZE_HW, (rng.random(), rng.random()))
        scene = Pair(background.copy(), np.zeros(SIZE_HW, np.uint8))
        heights = np.exp(rng.uniform(np.log(0.15), np.log(1.0), len(chosen) - 1)) * height
        # The larger a person appears, the nearer it is: draw from far to near.
        for index, shown in sorted(zip(chosen[1:], heights, strict=True), key=lambda pair: pair[1]):
            waist_up = rng.random() < 0.3
            part = rng.uniform(0.45, 0.6) if waist_up else 1.0
            # Labels as they were scaled when the digest was taken.
            person = scaled(person_of(int(index)), round(shown / part), cv2.INTER_NEAREST)
            if waist_up:
                top = height - round(shown)
            else:
                top = round(rng.random() * (height - person.labels.shape[0]))
            # At least half of its width is inside the frame.
            left = round(rng.uniform(-0.5, width / person.labels.shape[1] - 0.5) * person.labels.shape[1])
            paste(scene, person, top, left)
        yield scene


def _copies(pair: Pair) -> Arrays:
    """Its arrays, without the picture that they are a part of."""
    return pair.image.copy(), pair.labels.copy()


def digest(frames: Iterator[Pair]) -> str:
    """SHA-256 over the frames, to compare with `SHA256`."""
    total = hashlib.sha256()
    for frame in frames:
        total.update(np.ascontiguousarray(frame.image).data)
        total.update(np.ascontiguousarray(frame.labels).data)
    return total.hexdigest()
