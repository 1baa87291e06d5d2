"""The rectangle that a user asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtparse.errors import UsageError
from rtparse.regions import Region


@pytest.mark.parametrize("roi", ["3,4,20,10", " 3, 4,20,10", (3, 4, 20, 10), [3, 4, 20, 10], np.array((3, 4, 20, 10))])
def test_a_region_is_text_or_four_numbers(roi: Any) -> None:
    assert Region.of(roi) == Region(3, 4, 20, 10)


@pytest.mark.parametrize(
    "roi",
    [
        "3,4,20",  # too few
        "3,4,20,10,1",  # too many
        "a,4,20,10",  # no number
        "0.5,4,20,10",  # between pixels
        "",
        "-1,0,20,10",  # left of every frame
        "0,0,0,10",  # empty
        (1, 2, 3, -4),
        (0, 0, 1.5, 4),
        7,
        None,
    ],
)
def test_what_is_no_region_is_refused(roi: Any) -> None:
    with pytest.raises(UsageError, match="expected x,y,width,height") as caught:
        Region.of(roi)
    assert repr(roi) in caught.value.message


def test_a_region_that_leaves_the_frame_is_refused() -> None:
    assert Region(0, 0, 64, 48).inside((48, 64)) == Region.whole((48, 64))
    with pytest.raises(UsageError, match=r"60,0,5,48 ends at 65,48, the frame has 64x48"):
        Region(60, 0, 5, 48).inside((48, 64))
    with pytest.raises(UsageError, match="within the frame"):
        Region(0, 47, 1, 2).inside((48, 64))


def test_crop_and_paste_name_the_same_pixels() -> None:
    region = Region(5, 2, 7, 3)
    image = np.arange(10 * 20, dtype=np.uint8).reshape(10, 20)
    inner = region.crop(image)
    assert inner.shape == region.size_hw == (3, 7)
    assert inner[0, 0] == image[2, 5]
    pasted = region.paste(inner, (10, 20))
    np.testing.assert_array_equal(pasted[2:5, 5:12], image[2:5, 5:12])
    assert pasted.sum(dtype=int) == inner.sum(dtype=int)
