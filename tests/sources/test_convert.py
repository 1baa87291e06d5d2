from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rtparse.errors import UsageError
from rtparse.sources.convert import to_bgr8

BGR = np.array([[[10, 100, 200], [0, 0, 0]], [[255, 255, 255], [1, 2, 3]]], np.uint8)
GREY = np.array([[0, 128], [255, 3]], np.uint8)


def grey3(values: Any) -> NDArray[np.uint8]:
    return np.repeat(np.array(values, np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(BGR, BGR, id="uint8 as it is"),
        pytest.param(GREY, grey3(GREY), id="grey (H, W)"),
        pytest.param(GREY[:, :, None], grey3(GREY), id="grey (H, W, 1)"),
        pytest.param(np.array([[True, False]]), grey3([[255, 0]]), id="bool"),
        pytest.param(BGR.astype(np.uint16) * 257, BGR, id="uint16 over its whole range"),
        pytest.param((GREY.astype(np.uint16) * 257)[:, :, None], grey3(GREY), id="uint16 grey (H, W, 1)"),
        pytest.param(BGR.astype(np.float32) / 255, BGR, id="float32 in 0..1"),
        pytest.param(BGR.astype(np.float64) / 255, BGR, id="float64 in 0..1"),
        pytest.param(BGR.astype(np.float16) / 255, BGR, id="float16 in 0..1"),
        pytest.param(np.ones((1, 1), np.float32) * 1.0005, grey3([[255]]), id="float over 1 by rounding"),
        pytest.param(BGR[:, ::-1], BGR[:, ::-1], id="a mirrored view, not contiguous"),
        pytest.param(np.dstack([BGR, np.full((2, 2), 255)]).astype(np.uint8), BGR, id="opaque alpha"),
        pytest.param(np.zeros((1, 1, 4), np.uint8), grey3([[255]]), id="transparent is white"),
        pytest.param(np.array([[[0, 0, 0, 51]]], np.uint8), grey3([[204]]), id="black at a fifth over white"),
        pytest.param(np.array([[[0, 0, 0, 13107]]], np.uint16), grey3([[204]]), id="the same in 16 bits"),
    ],
)
def test_every_documented_form_becomes_bgr(image: NDArray[Any], expected: NDArray[np.uint8]) -> None:
    before = image.copy()
    got = to_bgr8(image)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


def test_rgb_arrays_are_swapped_and_nothing_else_is() -> None:
    np.testing.assert_array_equal(to_bgr8(BGR, "rgb"), BGR[:, :, ::-1])
    np.testing.assert_array_equal(to_bgr8(GREY, "rgb"), grey3(GREY))
    with_alpha = np.array([[[255, 0, 0, 51]]], np.uint8)
    np.testing.assert_array_equal(to_bgr8(with_alpha, "rgb"), [[[204, 204, 255]]])


@pytest.mark.parametrize(
    ("image", "named"),
    [
        pytest.param(np.zeros((2, 2, 2), np.uint8), "(2, 2, 2)", id="two channels"),
        pytest.param(np.zeros((3, 20, 30), np.uint8), "(3, 20, 30)", id="channels first"),
        pytest.param(np.zeros((1, 2, 2, 3), np.uint8), "(1, 2, 2, 3)", id="a batch"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)", id="no pixels"),
        pytest.param(np.zeros((4, 4, 3), np.int64), "int64", id="plain integers"),
        pytest.param(np.full((4, 4), 255.0), "255", id="float in 0..255"),
        pytest.param(np.full((4, 4), np.nan), "nan", id="not a number"),
        pytest.param(np.full((4, 4), -0.5), "-0.5", id="negative float"),
        pytest.param([[1, 2]], "list", id="a list"),
        pytest.param(None, "NoneType", id="what cv2.imread gives for a missing file"),
    ],
)
def test_what_cannot_be_a_picture_is_named(image: object, named: str) -> None:
    with pytest.raises(UsageError, match=r"expected") as caught:
        to_bgr8(image)
    assert named in str(caught.value)


def test_an_unknown_colour_order_is_refused() -> None:
    with pytest.raises(UsageError, match="choose bgr or rgb"):
        to_bgr8(BGR, "bgra")


RGB = BGR[:, :, ::-1]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        pytest.param(Image.fromarray(RGB), BGR, id="RGB"),
        pytest.param(Image.fromarray(GREY), grey3(GREY), id="L"),
        pytest.param(Image.fromarray(np.array([[True, False]])), grey3([[255, 0]]), id="1"),
        pytest.param(Image.fromarray(np.array([[0, 65535]], np.uint16)), grey3([[0, 255]]), id="I;16"),
        pytest.param(Image.fromarray(GREY.astype(np.float32) / 255), grey3(GREY), id="F"),
        pytest.param(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), grey3([[204]]), id="RGBA"),
        pytest.param(Image.new("LA", (1, 1), (0, 51)), grey3([[204]]), id="LA"),
        pytest.param(Image.fromarray(RGB).convert("CMYK"), BGR, id="CMYK"),
        pytest.param(Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE), BGR, id="palette"),
    ],
)
@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_pil_images_know_their_own_colours(picture: Image.Image, expected: NDArray[np.uint8], color: str) -> None:
    np.testing.assert_array_equal(to_bgr8(picture, color), expected)


def test_exif_orientation_of_a_pil_image_is_applied() -> None:
    picture = Image.fromarray(RGB)
    picture.getexif()[0x0112] = 6  # shown after a quarter turn clockwise
    np.testing.assert_array_equal(to_bgr8(picture), np.rot90(BGR, -1))
