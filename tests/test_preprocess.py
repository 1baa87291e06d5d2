"""The input's size, the letterbox's geometry, and the numbers that the network sees."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import BUDGET_SLACK, MIN_SIDE, Letterbox, fixed_size, network_size, preprocess

BUDGET = 256 * 192


@pytest.mark.parametrize(
    ("frame_hw", "expected"),
    [
        ((720, 1280), (176, 304)),  # 16:9
        ((1080, 1920), (176, 304)),  # the same aspect at another size
        ((480, 640), (192, 256)),  # 4:3 meets the budget exactly
        ((256, 192), (256, 192)),  # the size the model was trained for
        ((1280, 720), (304, 176)),  # a phone held upright
        ((1, 1), (224, 224)),  # one pixel
        ((10000, 16), (832, 64)),  # no side below 64
    ],
)
def test_automatic_size_follows_the_aspect_ratio(frame_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert network_size(frame_hw, BUDGET) == expected


def test_automatic_sizes_are_bounded_multiples_of_16_for_every_frame() -> None:
    rng = np.random.default_rng(0)
    for frame_hw in np.exp(rng.uniform(0, np.log(10000), (200, 2))).astype(int):
        height, width = network_size((int(frame_hw[0]), int(frame_hw[1])), BUDGET)
        assert height % 16 == width % 16 == 0
        assert min(height, width) >= MIN_SIDE
        assert height * width <= BUDGET * BUDGET_SLACK


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (BUDGET, (176, 304)),  # the fitting aspect, not the larger one that costs 17 times as much
        (720 * 1280, (720, 1280)),  # the budget allows it
        (100, (256, 192)),  # nothing fits: the cheapest
    ],
)
def test_sizes_on_offer(budget: int, expected: tuple[int, int]) -> None:
    assert network_size((720, 1280), budget, [(720, 1280), (256, 192), (176, 304)]) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [("auto", None), ("256x192", (256, 192)), ("96X64", (96, 64)), ((176, 304), (176, 304))],
)
def test_fixed_size(size: str | tuple[int, int], expected: tuple[int, int] | None) -> None:
    assert fixed_size(size, None) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("100x210", "multiples of 16; the nearest: 96x208"),
        ((0, 64), "the nearest: 16x64"),
        ("large", "'large'"),
        ("256", "'256'"),
        ((256, 192, 3), "(256, 192, 3)"),
    ],
)
def test_a_size_that_cannot_be_meant_is_refused(size: str | tuple[int, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        fixed_size(size, None)
    assert message in str(caught.value)


def test_a_size_that_the_engine_does_not_offer_is_refused() -> None:
    with pytest.raises(UsageError, match="choose from: 256x192, 176x304"):
        fixed_size("64x64", ((256, 192), (176, 304)))


def test_letterbox_centres_the_frame() -> None:
    box = Letterbox.fit((720, 1280), (176, 304))
    assert (box.content_hw, box.top, box.left) == ((171, 304), 2, 0)
    assert Letterbox.fit((10000, 16), (832, 64)).content_hw == (832, 1)


def test_preprocess_normalizes_as_the_metadata_says() -> None:
    image = np.full((64, 64, 3), (10, 20, 30), np.uint8)
    metadata = ModelMetadata()
    box = Letterbox.fit((64, 64), (64, 128))
    planes = preprocess(image, box, metadata)
    assert planes.shape == (3, 64, 128)
    assert planes.dtype == np.float32
    expected = (np.array([30, 20, 10]) / 255 - metadata.mean) / metadata.std
    np.testing.assert_allclose(planes[:, 5, 64], expected, rtol=1e-5)
    assert not planes[:, :, :32].any()
    assert not planes[:, :, 96:].any()
    swapped = preprocess(image, box, ModelMetadata(channel_order="bgr", mean=(0, 0, 0), std=(1, 1, 1)))
    np.testing.assert_allclose(swapped[:, 5, 64] * 255, (10, 20, 30), rtol=1e-5)


def test_preprocess_overwrites_all_of_a_buffer_it_is_given() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    box = Letterbox.fit((90, 160), (176, 304))
    dirty = np.full((3, 176, 304), np.nan, np.float32)
    assert preprocess(image, box, ModelMetadata(), dirty) is dirty
    np.testing.assert_array_equal(dirty, preprocess(image, box, ModelMetadata()))


@pytest.mark.parametrize("frame_hw", [(1000, 1500), (131, 263), (100, 150), (37, 41)])
def test_scaling_keeps_every_pixel_where_the_letterbox_says(frame_hw: tuple[int, int]) -> None:
    # A ramp along x (and y): after the exact map its value at each network pixel is known.
    height, width = frame_hw
    ys, xs = np.mgrid[:height, :width]
    image = np.stack([xs * 255 / width, ys * 255 / height, xs * 0], 2).round().astype(np.uint8)
    box = Letterbox.fit(frame_hw, (176, 304))
    planes = preprocess(image, box, ModelMetadata(mean=(0, 0, 0), std=(1, 1, 1), channel_order="bgr")) * 255
    rows, columns = box.content_hw
    inside = planes[:, box.top : box.top + rows, box.left : box.left + columns]
    x = (np.arange(columns) + 0.5) * width / columns - 0.5
    y = (np.arange(rows) + 0.5) * height / rows - 0.5
    assert np.abs(inside[0] - x * 255 / width)[:, 8:-8].max() < 1.6
    assert np.abs(inside[1] - y[:, None] * 255 / height)[8:-8].max() < 1.6
