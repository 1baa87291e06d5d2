"""Colours and woven or printed patterns of garments, skin, hair and things. None knows which class it will dress."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2

Color = tuple[float, float, float]
"""Blue, green, red in 0..1."""

PATTERNS = ("plain", "stripes", "checks", "dots", "noise", "gradient", "print", "melange")
"""Kinds that the training sampler draws."""

CLIP_PATTERNS = ("herringbone", "argyle")
"""Kinds kept for the example clip: never drawn for training."""

TILE = 128


@dataclass(frozen=True)
class Material:
    """A repeating pattern. colors: at least one; scale: metres that one tile covers; turn: of the pattern, radians;
    gloss: strength of the highlight, 0..1; folds: strength of soft wrinkles, 0..1."""

    pattern: str
    colors: tuple[Color, ...]
    scale: float = 0.3
    turn: float = 0.0
    gloss: float = 0.1
    folds: float = 0.5
    seed: int = 0


@lru_cache(maxsize=128)
def tile(material: Material) -> NDArray[np.float32]:
    """(128, 128, 3) float32 BGR 0..1, repeating seamlessly. Shared: do not write into it."""
    rng = np.random.default_rng(material.seed)
    if material.pattern in ("face", "beard"):
        return _face(material)
    colors = np.array(material.colors, np.float32)
    grain = 0.95 + 0.1 * rng.random((TILE, TILE, 1), np.float32)
    if material.pattern == "plain":
        return np.asarray(np.minimum(colors[0] * grain, 1), np.float32)
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32) / TILE
    pick = np.clip(_choice(material.pattern, x, y, len(colors), rng), 0, len(colors) - 1)
    # Between two whole numbers the colours blend, in sixteen steps.
    steps = np.arange(16 * (len(colors) - 1) + 1) / 16
    blends = np.stack([np.interp(steps, np.arange(len(colors)), colors[:, i]) for i in range(3)], 1).astype(np.float32)
    return np.asarray(np.minimum(blends[(pick * 16).astype(np.intp)] * grain, 1), np.float32)


def _choice(
    pattern: str, x: NDArray[np.float32], y: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Which colour each point takes: an index, fractions mix neighbours."""
    last = max(count - 1, 1)
    n = int(rng.integers(2, 9))
    if pattern == "stripes":
        share = rng.uniform(0.2, 0.8)
        return np.asarray(((x * n) % 1 > share).astype(np.float32) * (1 + (np.floor(x * n) % last)))
    if pattern == "checks":
        share = rng.uniform(0.3, 0.7)
        return np.asarray((((x * n) % 1 > share).astype(np.float32) + ((y * n) % 1 > share)) * last / 2)
    if pattern == "dots":
        radius = rng.uniform(0.2, 0.45)
        row = np.floor(y * 2 * (n // 2 + 1))
        near = np.hypot((x * n + 0.5 * (row % 2)) % 1 - 0.5, (y * 2 * (n // 2 + 1)) % 1 - 0.5) < radius
        return np.asarray(near.astype(np.float32) * (1 + row % last))
    if pattern in ("noise", "print", "melange"):
        cells = {"noise": 12, "print": 6, "melange": 64}[pattern]
        field = wrapped_noise(rng, TILE, cells)
        level = (field - field.min()) / max(float(np.ptp(field)), 1e-6) * count
        return np.asarray(np.floor(level) if pattern == "print" else level - 0.5)
    if pattern == "gradient":
        return np.asarray((1 - np.abs(2 * y - 1)).astype(np.float32) * last)
    if pattern == "herringbone":
        slant = np.where((x * 4) % 1 < 0.5, x, -x)
        return np.asarray((((y + slant) * 12) % 1 > 0.5).astype(np.float32) * last)
    if pattern == "argyle":
        diamond = np.abs((x * 3) % 1 - 0.5) + np.abs((y * 2) % 1 - 0.5)
        line = np.abs(((x * 3 + y * 2) % 1) - 0.5) < 0.04
        return np.asarray(np.where(line, last, diamond < 0.5))
    return np.zeros_like(x)


def wrapped_noise(rng: np.random.Generator, size: int, cells: int) -> NDArray[np.float32]:
    """(size, size) float32 smooth noise of about unit range whose opposite edges meet."""
    seeds = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    padded = np.pad(seeds, 2, mode="wrap")
    step = size / cells
    big = cv2.resize(padded, (round((cells + 4) * step), round((cells + 4) * step)), interpolation=cv2.INTER_CUBIC)
    first = round(2 * step)
    return np.asarray(big[first : first + size, first : first + size], np.float32)


def random_color(rng: np.random.Generator) -> Color:
    """Any hue; greys, blacks and whites as often as in a wardrobe."""
    hue, saturation, value = rng.random(), rng.beta(1.1, 1.6), rng.beta(1.3, 1.2)
    if rng.random() < 0.3:
        saturation *= 0.15
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 0.04 + 0.92 * value)
    return blue, green, red


def random_material(rng: np.random.Generator) -> Material:
    """A garment's or an object's material. One distribution for all classes: colour must not tell the class."""
    pattern = "plain" if rng.random() < 0.45 else str(rng.choice(PATTERNS))
    colors = tuple(random_color(rng) for _ in range(1 if pattern == "plain" else int(rng.integers(2, 5))))
    return Material(
        pattern,
        colors,
        scale=float(np.exp(rng.uniform(np.log(0.06), np.log(0.8)))),
        turn=float(rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])),
        gloss=float(rng.beta(1, 4)),
        folds=float(rng.uniform(0.1, 1)),
        seed=int(rng.integers(1 << 31)),
    )


def random_skin(rng: np.random.Generator) -> Material:
    """Skin from very light to very dark, with some redness and sallowness."""
    light = np.array((0.70, 0.78, 0.93))
    dark = np.array((0.09, 0.13, 0.22))
    depth = rng.beta(0.9, 1.5)
    color = np.exp(np.log(light) * (1 - depth) + np.log(dark) * depth) * rng.normal(1, 0.05, 3)
    blue, green, red = np.clip(color, 0.03, 1)
    return Material("plain", ((float(blue), float(green), float(red)),), gloss=float(rng.uniform(0.1, 0.35)), folds=0.1)


def random_hair(rng: np.random.Generator) -> Material:
    """Black, brown, blond, red, grey and white hair; sometimes dyed."""
    tones = (
        (0.05, 0.05, 0.06),
        (0.08, 0.12, 0.2),
        (0.15, 0.25, 0.4),
        (0.35, 0.6, 0.78),
        (0.1, 0.2, 0.5),
        (0.7, 0.7, 0.7),
    )
    tone = np.array(tones[int(rng.choice(6, p=(0.3, 0.27, 0.17, 0.12, 0.06, 0.08)))]) if rng.random() < 0.94 else None
    color = np.array(random_color(rng)) if tone is None else tone * rng.uniform(0.6, 1.3)
    blue, green, red = np.clip(color, 0.01, 1)
    streak = tuple(float(c) for c in np.clip(color * rng.uniform(0.5, 0.8), 0, 1))
    return Material(
        "melange",
        ((float(blue), float(green), float(red)), (streak[0], streak[1], streak[2])),
        scale=0.25,
        gloss=float(rng.uniform(0.05, 0.3)),
        folds=0.9,
        seed=int(rng.integers(1 << 31)),
    )


def _face(material: Material) -> NDArray[np.float32]:
    """A head unrolled: columns go around it (the face is a quarter in), rows from crown to chin.

    colors: skin, hair, lips."""
    skin, hair, lips = (np.array(c, np.float32) for c in material.colors)
    fine = 2
    head = np.empty((TILE * fine, TILE * fine, 3), np.float32)
    head[:] = skin

    def spot(around: float, up: float, wide: float, tall: float, color: NDArray[np.float32], turn: float = 0.0) -> None:
        """An ellipse; around: radians from the front; up: share of the head's height; wide: radians."""
        at = round((0.25 + around / (2 * np.pi)) * TILE * fine), round((1 - up) * TILE * fine)
        axes = max(round(wide / (2 * np.pi) * TILE * fine), 1), max(round(tall * TILE * fine), 1)
        cv2.ellipse(head, at, axes, turn, 0, 360, tuple(float(c) for c in color), -1, cv2.LINE_AA)

    rosy = np.clip(skin * np.array((0.88, 0.9, 1.06), np.float32), 0, 1)
    for sign in (-1.0, 1.0):
        spot(sign * 0.62, 0.36, 0.3, 0.08, rosy)
        spot(sign * 0.42, 0.515, 0.28, 0.045, skin * 0.82)
    if material.pattern == "beard":
        spot(0.0, 0.10, 1.0, 0.16, skin * 0.35 + hair * 0.6)
        spot(0.0, 0.28, 0.34, 0.03, skin * 0.35 + hair * 0.6)
    cv2.GaussianBlur(head, (0, 0), 2.0 * fine, dst=head)
    white, dark = np.full(3, 0.85, np.float32), np.full(3, 0.03, np.float32)
    for sign in (-1.0, 1.0):
        spot(sign * 0.42, 0.505, 0.19, 0.024, white)
        spot(sign * 0.42, 0.505, 0.085, 0.025, dark)
        spot(sign * 0.42, 0.528, 0.21, 0.009, skin * 0.4)
        spot(sign * 0.44, 0.60, 0.25, 0.014, np.minimum(hair, skin * 0.6), -sign * 5)
        spot(sign * 0.10, 0.325, 0.05, 0.008, skin * 0.5)
    spot(0.0, 0.20, 0.30, 0.026, lips)
    spot(0.0, 0.203, 0.29, 0.005, lips * 0.5)
    for sign in (-1.0, 1.0):
        spot(sign * 0.27, 0.208, 0.07, 0.006, lips * 0.55, -sign * 25)
    return np.asarray(np.clip(cv2.resize(head, (TILE, TILE), interpolation=cv2.INTER_AREA), 0, 1), np.float32)
