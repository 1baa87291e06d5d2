"""Labelled pictures that need no dataset."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.train.compose import Pair
from rtparse.train.synthetic import render_scene


@pytest.fixture(scope="session")
def people() -> list[Pair]:
    """Eight rendered pictures of 160x120 with at least one person each."""
    pairs = []
    seed = 0
    while len(pairs) < 8:
        scene = render_scene(np.random.default_rng(seed), (160, 120))
        seed += 1
        if (scene.labels != 0).mean() > 0.05:
            pairs.append(Pair(scene.image_bgr, scene.labels))
    return pairs
