"""Effects on pictures of known pixels: what changes, to what, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parsing, UsageError
from rtparse.effects import Effect, blur, blur_background, cutout, pixelate, recolour, replace_background

Image = NDArray[np.uint8]
HEIGHT, WIDTH = 120, 160
FACE, HAIR, COAT = (CLASSES.index(name) for name in ("face", "hair", "coat"))
EFFECTS: dict[str, Effect] = {
    "blur": partial(blur, classes=["face"]),
    "pixelate": partial(pixelate, classes=["face"]),
    "background colour": partial(replace_background, background=(0, 255, 0)),
    "background picture": partial(replace_background, background=np.full((50, 90, 3), 40, np.uint8)),
    "background blur": blur_background,
    "recolour": partial(recolour, classes=["hair", "coat"], colour_bgr=(0, 0x33, 0xAA)),
    "cutout": cutout,
}


def noise(seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def person() -> Image:
    """Labels: a face of 30x40 under hair of 40x20, a coat below that reaches the frame's lower border."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[70:, 50:110] = COAT
    labels[10:30, 60:100] = HAIR
    labels[30:70, 65:95] = FACE
    return labels


def parsing(image: Image | None = None, labels: Image | None = None) -> Parsing:
    return Parsing(Frame(noise() if image is None else image), person() if labels is None else labels)


def apply(effect: Callable[..., Image], given: Parsing, *arguments: object, **options: object) -> Image:
    return effect(given.frame.image, given, *arguments, **options)


def grown(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius + 1,) * 2, np.uint8)) > 0


def test_pixelated_squares_have_one_colour_which_is_their_mean() -> None:
    given = parsing()
    image, picture = given.frame.image, apply(pixelate, given, ["face"])
    # the face with its margin of 2 is 34x44: 44 / 6 rounded up to a power of two
    block, region = 8, grown(given.mask("face"), 2)
    for y in range(0, HEIGHT, block):
        for x in range(0, WIDTH, block):
            square = np.s_[y : y + block, x : x + block]
            if region[square].any():
                assert (np.ptp(picture[square].reshape(-1, 3), axis=0) == 0).all()
                assert np.abs(picture[y, x] - image[square].mean((0, 1))).max() <= 1
            else:
                np.testing.assert_array_equal(picture[square], image[square])


@pytest.mark.parametrize("effect", [blur, pixelate])
@pytest.mark.parametrize(("height", "width", "block"), [(40, 30, 8), (90, 70, 16)])  # a larger face, larger squares
def test_of_a_face_nothing_is_left_but_a_mean_a_square(
    effect: Callable[..., Image], height: int, width: int, block: int
) -> None:
    """Two faces whose squares have the same means, and differ in every pixel, become the same picture."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10 : 10 + height, 40 : 40 + width] = FACE
    image, inside = noise(), np.zeros((HEIGHT, WIDTH), bool)
    other = image.copy()
    for y in range(0, HEIGHT - block + 1, block):
        for x in range(0, WIDTH, block):
            square = np.s_[y : y + block, x : x + block]
            other[square] = image[square][::-1, ::-1]
            inside[square] = (labels[square] == FACE).all()
    assert inside.sum() >= 6 * block * block
    swapped = np.where(inside[:, :, None], other, image)
    assert np.abs(swapped[inside].astype(int) - image[inside]).mean() > 50
    one, two = (apply(effect, parsing(each, labels), ["face"]) for each in (image, swapped))
    assert np.abs(one.astype(int) - two)[labels == FACE].max() <= 1


def test_blur_is_of_the_region_and_changes_nothing_else() -> None:
    given = parsing()
    region = grown(given.mask("face"), 2)
    picture = apply(blur, given, ["face"])
    np.testing.assert_array_equal(picture[~region], given.frame.image[~region])
    outside = given.frame.image.copy()
    outside[~region] = 255
    np.testing.assert_array_equal(apply(blur, parsing(outside), ["face"])[region], picture[region])
    # and it is smooth: of noise with a deviation of 74 a whisper is left between neighbours
    inner = picture[30:70, 65:95].astype(int)
    assert max(np.abs(np.diff(inner, axis=axis)).max() for axis in (0, 1)) <= 6


@pytest.mark.parametrize("effect", [blur, pixelate])
def test_the_margin_is_a_share_of_the_longer_side(effect: Callable[..., Image]) -> None:
    given = parsing()
    picture = apply(effect, given, ["face"], margin=0.05)
    changed = (picture != given.frame.image).any(2)
    assert changed[grown(given.mask("face"), 8)].mean() > 0.99
    if effect is blur:
        assert not changed[~grown(given.mask("face"), 8)].any()
        tight = apply(blur, given, ["face"], margin=0) != given.frame.image
        assert not tight[~given.mask("face")].any()


@pytest.mark.parametrize("blocks", [1, 3])
def test_fewer_blocks_hide_more(blocks: int) -> None:
    given = parsing()
    picture = apply(pixelate, given, ["face"], blocks=blocks)
    colours = np.unique(picture[given.mask("face")], axis=0)
    assert 1 <= len(colours) <= (blocks + 1) ** 2


def test_the_background_becomes_a_colour_and_people_fade_inside_their_edge() -> None:
    given = parsing(np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    picture = apply(replace_background, given, (0, 100, 0))
    people = given.labels > 0
    assert (picture[~people] == (0, 100, 0)).all()
    inner = cv2.erode(people.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (picture[inner] == 200).all()
    # across the coat's left edge: a third, two thirds, all; at the frame's lower border it does not fade
    np.testing.assert_allclose(picture[100, 48:54, 0].astype(int), [0, 0, 67, 133, 200, 200], atol=1)
    np.testing.assert_allclose(picture[119, 48:54, 0].astype(int), [0, 0, 67, 133, 200, 200], atol=1)
    hard = apply(replace_background, given, (0, 100, 0), softness=0)
    np.testing.assert_array_equal(hard, np.where(people[:, :, None], given.frame.image, np.uint8([0, 100, 0])))


def test_a_background_picture_fills_the_frame_and_is_cut_evenly() -> None:
    ramp = np.arange(200, dtype=np.uint8)[None, :, None].repeat(60, 0).repeat(3, 2)  # 60x200 for a frame of 120x160
    given = parsing(labels=np.zeros((HEIGHT, WIDTH), np.uint8))
    picture = apply(replace_background, given, ramp)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    # twice as large: 400 columns, of which 120 are cut on each side
    np.testing.assert_allclose(picture[60, :, 0], np.linspace(59.75, 139.25, WIDTH), atol=1)


def test_the_blurred_background_has_no_halo_of_the_people() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[person() > 0] = 250
    image[:, :20:2] = 160
    given = parsing(image)
    picture = apply(blur_background, given)
    background = given.labels == 0
    np.testing.assert_allclose(picture[background][:, 0], picture[background][:, 1])
    assert picture[:, 30:][background[:, 30:]].max() <= 61  # not a trace of 250
    assert np.ptp(picture[60, 4:16, 0]) < 30  # the stripes melt
    np.testing.assert_array_equal(picture[90:, 60:100], image[90:, 60:100])


def lightness(image: Image) -> NDArray[np.float32]:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[:, :, 0]


@pytest.mark.parametrize(
    "colour_bgr",
    [
        (0, 0x33, 0xAA),
        (255, 0, 0),  # the primaries, where sRGB has least room at other lightnesses
        (0, 255, 0),
        (0, 255, 255),
        (0, 0, 0),  # no hue: grey
    ],
)
def test_recolouring_keeps_the_lightness_of_every_pixel(colour_bgr: tuple[int, int, int]) -> None:
    given = parsing()
    picture = apply(recolour, given, ["coat", "hair"], colour_bgr)
    difference = np.abs(lightness(picture) - lightness(given.frame.image))  # of 100
    inner = cv2.erode(given.mask("coat", "hair").astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert difference[inner].max() < 1
    assert difference.max() < 15  # of noise, where the edge mixes two colours in sRGB
    untouched = ~given.mask("coat", "hair")
    np.testing.assert_array_equal(picture[untouched], given.frame.image[untouched])


def test_recolouring_takes_the_hue_and_chroma_of_the_colour() -> None:
    target = (0, 0x33, 0xAA)
    level = round(float(lightness(np.uint8([[target]]))[0, 0]) * 255 / 100)
    grey = cv2.cvtColor(np.uint8([[[level, 128, 128]]]), cv2.COLOR_Lab2BGR)[0, 0]
    given = parsing(np.broadcast_to(grey, (HEIGHT, WIDTH, 3)).copy())
    picture = apply(recolour, given, ["coat"], target)
    np.testing.assert_allclose(picture[100, 80].astype(int), target, atol=8)
    # across the edge: the first pixel inside is a third of the way
    np.testing.assert_array_equal(picture[100, 49], grey)
    first = (picture[100, 50].astype(float) - grey) / (picture[100, 80].astype(float) - grey)
    np.testing.assert_allclose(first, 1 / 3, atol=0.05)


def test_shade_keeps_its_order_when_recoloured() -> None:
    ramp = np.linspace(10, 240, WIDTH).astype(np.uint8)[None, :, None].repeat(HEIGHT, 0).repeat(3, 2)
    picture = apply(recolour, parsing(ramp, np.full((HEIGHT, WIDTH), COAT, np.uint8)), ["coat"], (160, 40, 20))
    assert (np.diff(lightness(picture)[60]) >= -0.5).all()
    assert (picture[60, 40:120, 0] > picture[60, 40:120, 2]).all()  # bluish in light and shade


def test_the_cutout_has_alpha_and_nothing_of_the_background() -> None:
    image = noise()
    image[person() == 0] = (255, 0, 255)
    given = parsing(image)
    picture = apply(cutout, given)
    people = given.labels > 0
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert (picture[~people, 3] == 0).all()
    inner = cv2.erode(people.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (picture[inner, 3] == 255).all()
    np.testing.assert_array_equal(picture[people, :3], image[people])
    assert (picture[~grown(people, 4)] == 0).all()
    image[~people] = (0, 255, 0)
    np.testing.assert_array_equal(apply(cutout, parsing(image)), picture)


def test_the_cutout_of_chosen_classes_and_a_hard_edge() -> None:
    given = parsing()
    picture = apply(cutout, given, ["hair", "face"], softness=0)
    np.testing.assert_array_equal(picture[:, :, 3] == 255, given.mask("hair", "face"))
    np.testing.assert_array_equal(given.cutout(["hair", "face"]), apply(cutout, given, ["hair", "face"]))


def test_colours_go_on_beyond_the_cutout_so_that_its_edge_scales_well() -> None:
    given = parsing(np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    picture = apply(cutout, given)
    assert picture[100, 46:50, 0].tolist() == [200] * 4
    assert not picture[100, :46].any()


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (33, 47)])
@pytest.mark.parametrize("label", [0, FACE, COAT])
def test_any_size_with_and_without_people(name: str, size: tuple[int, int], label: int) -> None:
    image = np.full((*size, 3), 9, np.uint8)
    given = parsing(image, np.full(size, label, np.uint8))
    picture = apply(EFFECTS[name], given)
    assert picture.shape == (*size, 4 if name == "cutout" else 3)
    assert picture.dtype == np.uint8
    assert not np.may_share_memory(picture, image)
    assert (image == 9).all()
    if label == 0 and name in ("blur", "pixelate", "recolour"):
        np.testing.assert_array_equal(picture, image)


@pytest.mark.parametrize("name", EFFECTS)
def test_threads_do_not_disturb_each_other(name: str) -> None:
    given = [parsing(noise(seed), np.roll(person(), 7 * seed, 1)) for seed in range(6)]
    expected = [apply(EFFECTS[name], each) for each in given]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for picture, wanted in zip(pool.map(partial(apply, EFFECTS[name]), given), expected, strict=True):
                np.testing.assert_array_equal(picture, wanted)


def test_effects_follow_one_another() -> None:
    given = parsing()
    hidden = apply(pixelate, given, ["face"])
    picture = replace_background(hidden, given, (0, 0, 0))
    inner = np.s_[40:60, 70:90]
    np.testing.assert_array_equal(picture[inner], hidden[inner])
    assert not picture[given.labels == 0].any()


def test_wrong_use_is_named() -> None:
    given = parsing()
    with pytest.raises(UsageError, match="no class 'nose'; choose from: background, hat"):
        apply(blur, given, ["nose"])
    with pytest.raises(UsageError, match="given no class"):
        apply(pixelate, given, [])
    with pytest.raises(UsageError, match=r"shape \(120, 160, 4\).*expected \(120, 160, 3\) uint8 BGR"):
        blur(apply(cutout, given), given, ["face"])
    with pytest.raises(UsageError, match="float64"):
        blur(given.frame.image.astype(float), given, ["face"])  # type: ignore[arg-type]
