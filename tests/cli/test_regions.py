"""`--roi` and `--follow` from outside."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


def masks(folder: Path) -> list[NDArray[np.uint8]]:
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8) for path in sorted(folder.iterdir())]


def test_an_image_is_parsed_in_its_region(rtparse, folder: Path, people: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(folder / "whole.png"), people)
    cv2.imwrite(str(folder / "part.png"), people[10:110, 50:180])
    done = rtparse("image", "whole.png", "--roi", "50,10,130,100", "--masks", "m")
    assert done.returncode == 0, done.stderr
    assert rtparse("image", "part.png", "--masks", "p").returncode == 0
    (whole,), (part,) = masks(folder / "m"), masks(folder / "p")
    np.testing.assert_array_equal(whole[10:110, 50:180], part)
    assert part.any()
    assert np.count_nonzero(whole) == np.count_nonzero(part)


def test_a_video_is_parsed_in_its_region_and_followed(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("video", clip, "-o", "o.mp4", "--roi", "0,0,90,120", "--follow", "--masks", "m")
    assert done.returncode == 0, done.stderr
    found = masks(folder / "m")
    assert len(found) == 12
    assert all(labels.shape == (120, 162) and not labels[:, 90:].any() for labels in found)
    assert any(labels.any() for labels in found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--roi", "100,0,63,50"), "region 100,0,63,50 ends at 163,50, the frame has 162x120"),  # by a pixel
        (("--roi", "-5,0,63,50"), "got the region '-5,0,63,50'"),
        (("--roi", "left half"), "expected x,y,width,height"),
        (("--follow", "--smooth", "0.5"), "got follow and smooth 0.5"),
    ],
)
def test_wrong_use_is_named_and_leaves_nothing(
    rtparse, clip: Path, folder: Path, given: tuple[str, ...], said: str
) -> None:
    done = rtparse("video", clip, "-o", "o.mp4", *given)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(folder.iterdir()) == []


def test_a_region_outside_an_image(rtparse, folder: Path, people: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(folder / "in.png"), people)
    done = rtparse("image", "in.png", "--roi", "0,0,200,121")
    assert done.returncode == 2
    assert "the frame has 200x120" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["in.png"]
