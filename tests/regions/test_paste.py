"""Labels of parts become those of the frame, and people are found where they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox
from rtparse.regions.paste import Patch, paste
from rtparse.regions.people import MOST_PEOPLE, find_people
from rtparse.regions.region import Region

FRAME_HW = (90, 120)


def patch(part: Region, label: int, sure: float = 10, crop: bool = True) -> Patch:
    """One class everywhere, whose logit is `sure` and all others' 0."""
    logits = np.zeros((20, 32, 24), np.float32)
    logits[label] = sure
    return patch_of(part, logits, crop)


def patch_of(part: Region, logits: NDArray[np.float32], crop: bool = True) -> Patch:
    box = Letterbox.fit(part.size_hw, (logits.shape[1] * 2, logits.shape[2] * 2))
    return Patch(part, Upsampler(box, logits.shape[1:])(logits), logits, box, crop)


def test_around_the_crops_is_background_or_what_the_whole_frame_shows() -> None:
    crop = Region(10, 20, 30, 40)
    labels = paste(FRAME_HW, [patch(crop, 5)])
    assert set(labels[crop.slices].ravel()) == {5}
    assert (labels != 0).sum() == crop.area
    over = paste(FRAME_HW, [patch(Region.whole(FRAME_HW), 9, sure=100, crop=False), patch(crop, 0, sure=0.1)])
    assert set(over[crop.slices].ravel()) == {0}
    assert (over == 9).sum() == 90 * 120 - crop.area


def test_the_nearer_crop_covers_the_farther_one() -> None:
    far, near = Region(10, 10, 60, 50), Region(40, 20, 60, 60)
    labels = paste(FRAME_HW, [patch(far, 5), patch(near, 9)])
    both = Region(40, 20, 30, 40)
    assert set(labels[both.slices].ravel()) == {9}
    assert labels[15, 15] == 5
    assert labels[75, 95] == 9


def test_a_farther_crop_keeps_what_it_is_surer_of() -> None:
    far, near = Region(10, 10, 60, 60), Region(30, 10, 60, 60)
    labels = paste(FRAME_HW, [patch(far, 5, sure=10), patch(near, 9, sure=2)])
    assert labels[40, 45] == 5
    assert labels[40, 80] == 9
    # Half sure and nearly half sure: the nearer one.
    labels = paste(FRAME_HW, [patch(far, 5, sure=3.1), patch(near, 9, sure=3)])
    assert labels[40, 50] == 9


def scene(part: Region, boxes: list[Region], network_hw: tuple[int, int] = (256, 192)) -> list[Region]:
    """What is found where people are painted onto the logits of a part."""
    box = Letterbox.fit(part.size_hw, network_hw)
    logits = np.zeros((20, network_hw[0] // 2, network_hw[1] // 2), np.float32)
    logits[0] = 5
    zoom_y, zoom_x = box.content_hw[0] / part.height / 2, box.content_hw[1] / part.width / 2
    for each in boxes:
        top, left = box.top / 2 + (each.y - part.y) * zoom_y, box.left / 2 + (each.x - part.x) * zoom_x
        rows = slice(round(top), round(top + each.height * zoom_y))
        logits[3:6, rows, round(left) : round(left + each.width * zoom_x)] = 4.5
    return find_people(logits, box, part, 10, 0.5)


@pytest.mark.parametrize(
    "part",
    [
        Region(0, 0, 192, 256),  # pixel by pixel
        Region(100, 50, 96, 128),  # enlarged
        Region(0, 0, 1280, 720),  # wide: padded above and below
        Region(30, 40, 50, 300),  # narrow
    ],
)
def test_people_are_found_where_they_are(part: Region) -> None:
    """Three classes that share the probability are someone, though background leads each of them."""
    someone = Region(part.x + part.width // 4, part.y + part.height // 3, part.width // 3, part.height // 2)
    (found,) = scene(part, [someone])
    pixel = 2 * max(part.height / 256, part.width / 192)
    for side in ("x", "y", "right", "bottom"):
        assert abs(getattr(found, side) - getattr(someone, side)) <= pixel + 1


def test_noise_is_nobody() -> None:
    part = Region(0, 0, 192, 256)
    assert scene(part, []) == []
    assert scene(part, [Region(50, 50, 4, 4)]) == []  # four points of the grid
    assert scene(part, [Region(50, 50, 8, 8)]) == []  # smaller than the smallest
    many = [Region(4 + 12 * (i % 15), 4 + 16 * (i // 15), 4, 10 + i % 3) for i in range(200)]
    assert len(scene(part, many)) == MOST_PEOPLE


def test_huge_logits_are_numbers_too() -> None:
    logits = np.zeros((20, 32, 24), np.float32)
    logits[5, 4:20, 4:20] = 1e4
    logits[0] = 5e3
    box = Letterbox.fit((64, 48), (64, 48))
    assert len(find_people(logits, box, Region(0, 0, 48, 64), 1, 0.5)) == 1
