"""The class table, its colours, and what mirrors it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.classes import (
    CLASSES,
    COLORBLIND_RGB,
    MIRROR_PAIRS,
    PALETTE_RGB,
    PALETTES,
    class_ids,
    mirror_labels,
    palette_rgb,
)
from rtparse.errors import UsageError

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009),
# severity 1, on linear RGB.
DEFICIENCIES = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# sRGB to CIE XYZ (IEC 61966-2-1), over the white D65.
XYZ = np.array([(0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041)])
WHITE = (0.95047, 1.0, 1.08883)

CLOTHES = ("upper-clothes", "dress", "coat", "jumpsuits", "scarf", "skirt", "pants")
ARMS, LEGS, SHOES = ("left-arm", "right-arm"), ("left-leg", "right-leg"), ("left-shoe", "right-shoe")
TOUCHING = (
    CLOTHES,
    ("hat", "hair", "face", "sunglasses", "scarf"),
    ("hair", "face", "upper-clothes", "dress", "coat", "jumpsuits", "scarf"),
    *((*ARMS, other) for other in (*CLOTHES, "hair", "face", "glove")),
    *((*LEGS, other) for other in ("dress", "coat", "pants", "skirt", "jumpsuits", "socks", *SHOES)),
    *((*SHOES, other) for other in ("socks", "pants", "jumpsuits")),
    *(("socks", other) for other in ("pants", "jumpsuits", "skirt")),
)
"""Groups of classes that meet on a body."""


def lab(rgb: NDArray[np.uint8], deficiency: str | None) -> NDArray[np.float64]:
    """(N, 3) CIE L*a*b* of sRGB colours as someone sees them."""
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    if deficiency:
        linear = (linear @ np.array(DEFICIENCIES[deficiency]).T).clip(0, 1)
    ratio = linear @ XYZ.T / WHITE
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def distances(rgb: NDArray[np.uint8], deficiency: str | None) -> tuple[float, float]:
    """The least CIE Lab distance of classes that touch each other or the background, and of any two."""
    seen = lab(rgb, deficiency)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    touching = {pair for group in TOUCHING for pair in combinations(class_ids(group), 2)}
    touching |= {(0, i) for i in range(1, 20)}
    assert set(MIRROR_PAIRS) <= touching
    return min(apart[a, b] for a, b in touching), min(apart[a, b] for a, b in combinations(range(20), 2))


def test_table_is_lips() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 20
    assert [CLASSES.index(name) for name in ("hat", "coat", "face", "left-arm", "right-shoe")] == [1, 7, 13, 14, 19]
    assert {tuple(CLASSES[i].split("-")[0] for i in pair) for pair in MIRROR_PAIRS} == {("left", "right")}


@pytest.mark.parametrize("name", list(PALETTES))
def test_a_palette_has_a_colour_for_each_class_and_black_for_the_background(name: str) -> None:
    palette = palette_rgb(name)
    assert palette.shape == (20, 3)
    assert palette.any(axis=1).tolist() == [False] + [True] * 19
    assert distances(palette, None)[1] > 19


def test_lab_of_known_colours() -> None:
    red, white = lab(np.array([(255, 0, 0), (255, 255, 255)], np.uint8), None)
    assert red.tolist() == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert white.tolist() == pytest.approx([100, 0, 0], abs=0.02)


@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_colorblind_palette_stays_apart(deficiency: str | None) -> None:
    touching, any_two = distances(COLORBLIND_RGB, deficiency)
    assert touching > 26
    assert any_two > 13


@pytest.mark.parametrize("deficiency", list(DEFICIENCIES))
def test_default_palette_does_not(deficiency: str) -> None:
    assert distances(PALETTE_RGB, deficiency)[0] < 13


def test_palettes_by_name() -> None:
    with pytest.raises(UsageError, match="no palette 'pink'; choose from: default, colorblind"):
        palette_rgb("pink")
    with pytest.raises(UsageError, match="colours 20 classes, the model has 2"):
        palette_rgb("colorblind", ("background", "person"))


def test_ids_of_names() -> None:
    assert class_ids(("face", "hair")) == (13, 2)
    with pytest.raises(UsageError, match=r"'tail'.*background, hat"):
        class_ids(("tail",))


def test_mirror_twice_is_the_same() -> None:
    labels = np.array([[0, 14, 19, 255], [16, 17, 2, 18]], np.uint8)
    mirrored = mirror_labels(labels)
    assert mirrored.tolist() == [[255, 18, 15, 0], [19, 2, 16, 17]]
    assert (mirror_labels(mirrored) == labels).all()
