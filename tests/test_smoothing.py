"""The running mean of logits, and where it starts anew."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox, preprocess
from rtparse.smoothing import Smoother


def logits(value: float, width: int = 8) -> NDArray[np.float32]:
    return np.full((20, 8, width), value, np.float32)


def network_input(value: float) -> NDArray[np.float32]:
    return np.full((3, 64, 64), value, np.float32)


def test_the_mean_follows_its_formula() -> None:
    smoother, still = Smoother(0.75), network_input(0)
    assert smoother(still, logits(8))[0, 0, 0] == 8
    assert smoother(still, logits(0))[0, 0, 0] == 6
    assert smoother(still, logits(0))[0, 0, 0] == 4.5


def test_no_smoothing_at_0() -> None:
    given = logits(1)
    assert Smoother(0)(network_input(0), given) is given


def test_the_mean_starts_anew_when_the_size_changes() -> None:
    smoother = Smoother(0.9)
    smoother(network_input(0), logits(8))
    assert smoother(network_input(0), logits(0, width=9)).max() == 0


def test_logits_and_earlier_means_are_left_alone() -> None:
    smoother, first, second = Smoother(0.5), logits(8), logits(0)
    mean = smoother(network_input(0), first)
    smoother(network_input(0), second)
    assert mean.min() == first.min() == 8
    assert second.max() == 0


@pytest.mark.parametrize("strength", [-0.1, 1, 1.5, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="0 \\(off\\) to below 1"):
        Smoother(strength)


def frames(path: Path, first: int, count: int) -> list[NDArray[np.float32]]:
    with av.open(str(path)) as container:
        decoded = itertools.islice(container.decode(video=0), first + count)
        images = [frame.to_ndarray(format="bgr24") for frame in decoded]
    box = Letterbox.fit(images[0].shape[:2], (176, 304))
    return [preprocess(image, box, ModelMetadata()) for image in images[first:]]


def restarts(inputs: list[NDArray[np.float32]]) -> list[int]:
    """The frames at which a mean, begun high, falls to the value of that frame alone."""
    smoother = Smoother(0.5)
    found = []
    for i, picture in enumerate(inputs):
        # Each value is below half of the one before, so a mean always lies above it.
        value = 4.0**-i
        if smoother(picture, logits(value)).max() == np.float32(value):
            found.append(i)
    return found


def test_a_hard_cut_starts_anew_and_motion_does_not(shared: Path) -> None:
    media = shared / "media"
    signing = frames(media / "asl-help.mkv", 0, 30)
    # Frames 430 to 450: a person passes close to the camera, the fastest motion of the clip.
    passing = frames(media / "one-by-one-person-detection.mp4", 430, 20)
    assert restarts(signing) == [0]
    assert restarts(passing) == [0]
    assert restarts(signing + passing) == [0, 30]
