"""Garments as lofts over the body's rings, each quad with its class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import CLASSES
from rtparse.train.synthetic import anatomy
from rtparse.train.synthetic.body import Body, Skeleton
from rtparse.train.synthetic.material import Material
from rtparse.train.synthetic.mesh import FULL_TURN, Floats, Mesh, Rings, loft
from rtparse.train.synthetic.outfit import UPPER, Coat, Hat, Legwear, Outfit, Skirt, Top

HAT, GLOVE, SUNGLASSES, COAT, SOCKS, PANTS, SCARF, SKIRT, FACE = (
    CLASSES.index(name) for name in ("hat", "glove", "sunglasses", "coat", "socks", "pants", "scarf", "skirt", "face")
)
LEFT_ARM, LEFT_LEG, LEFT_SHOE = (CLASSES.index(name) for name in ("left-arm", "left-leg", "left-shoe"))
"""The right ones follow: add the side (0 left, 1 right)."""

FRONT = np.pi / 2
"""Angle of a ring's front."""


def from_front(columns: int, arc: tuple[float, float] = FULL_TURN) -> NDArray[np.float64]:
    """Angle (columns,) of each quad's middle to the front, 0..pi."""
    edges = np.linspace(arc[0], arc[1], columns + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    return np.asarray(np.abs((middle - FRONT + np.pi) % (2 * np.pi) - np.pi))


def folds(rows: int, columns: int, strength: float, seed: int) -> Floats:
    """Radius factors (rows, columns + 1) of loose cloth: gentle lumps, equal at the seam."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, columns + 1)[None, :]
    row = np.arange(rows)[:, None]
    waves = sum(np.sin(k * angle + rng.uniform(0, 6.3) + row * rng.uniform(-0.9, 0.9)) / k for k in (2, 3, 5))
    return np.asarray(1 + strength * waves, np.float32)


def showing(rings: Rings, inside: NDArray[np.floating], thickness: NDArray[np.floating]) -> Floats:
    """Radius factors that sink a layer of some thickness under the skin where `inside` is negative and leave it where
    that is 1 or more: where the two surfaces cross is a smooth edge, finer than the mesh."""
    radius = ((rings.half_width + rings.half_depth) / 2)[:, None]
    sunk = (1 - np.clip(inside * 0.5 + 0.5, 0, 1)) * (thickness + np.minimum(0.008, 0.3 * radius))
    return np.asarray(1 - sunk / np.maximum(radius, 1e-3), np.float32)


def joined(upper: Rings, lower: Rings) -> Rings:
    """One line out of two."""
    parts = ((getattr(upper, f), getattr(lower, f)) for f in ("centers", "side", "front", "half_width", "half_depth"))
    return Rings(*(np.concatenate(pair) for pair in parts))


def top(skeleton: Skeleton, body: Body, wear: Top, tucked: bool) -> list[Mesh]:
    """Cloth on torso and upper arms; the skin of neckline and shoulders is left free."""
    low = -wear.hem / skeleton.scale
    heights = np.concatenate([[0.304, 0.29], np.linspace(0.28, max(low, -0.03), 24)])
    rings = anatomy.torso(skeleton, body, heights)
    ease = wear.ease * np.clip((0.29 - heights) / 0.06, 0.12, 1)
    if tucked:
        ease = np.where(heights < 0.1, 0.003, ease)
    else:
        ease = ease + 0.008 * np.clip((0.12 - heights) / 0.06, 0, 1)
    rings = rings.grown((0.003 + ease).astype(np.float32))
    if not tucked and low < -0.03:
        legs = anatomy.both_legs(skeleton, body, np.linspace(0.05, -low / 0.25, 3))
        rings = joined(rings, legs.grown(0.014 + wear.ease))
    columns = 48
    rows = len(rings.centers)
    angle = np.linspace(0, 2 * np.pi, columns + 1)
    front = np.abs((angle - FRONT + np.pi) % (2 * np.pi) - np.pi)
    level = np.append(heights, np.full(rows - len(heights), low))[:, None]
    shape = np.clip(1 - front / 1.1, 0, 1) if wear.pointed else np.clip(1.6 - front / 0.75, 0, 1)
    edge = 0.302 - 0.006 * (front > 1.2) - wear.neckline / skeleton.scale * shape
    inside = (edge - level) / 0.01
    if wear.sleeve == 0:
        strap = (np.abs(front - FRONT) - 0.75 + 0.3 * np.clip((0.25 - level) / 0.02, 0, 1)) / 0.08
        inside = np.minimum(inside, np.where(level > 0.2, strap, 1))
    bump = folds(rows, columns, 0.5 * wear.ease, wear.material.seed)
    bump *= showing(rings, inside, (0.003 + np.append(ease, np.full(rows - len(heights), wear.ease)))[:, None])
    parts = [loft(rings, wear.material, wear.label, columns=columns, bump=bump, two_sided=True)]
    if wear.sleeve > 0:
        parts += [sleeve(skeleton, body, side, wear.sleeve, wear.ease, wear.material, wear.label) for side in (0, 1)]
    return parts


def sleeve(skeleton: Skeleton, body: Body, side: int, end: float, ease: float, material: Material, label: int) -> Mesh:
    shares = np.concatenate([[-0.1, -0.1, -0.07], np.linspace(-0.03, end, 6 + int(6 * end))])
    rings = anatomy.arm(skeleton, body, side, shares)
    loose = 0.003 + 0.75 * ease * np.where(shares < 0, 0.8, 1)
    bump = folds(len(shares), 14, 1.2 * ease, material.seed + side)
    bump[0] = 0.01
    return loft(rings.grown(loose.astype(np.float32)), material, label, columns=14, bump=bump, two_sided=True)


def legwear(skeleton: Skeleton, body: Body, wear: Legwear, label: int, waist: float, hidden: float) -> list[Mesh]:
    """Hips and two trouser legs; under a skirt only what lies below the share `hidden` of the leg."""
    parts = []
    if hidden == 0:
        hips = anatomy.torso(skeleton, body, np.linspace(waist, -0.06, 10)).grown(0.005 + 0.3 * min(wear.ease, 0.02))
        parts.append(loft(hips, wear.material, label, columns=24))
    for side in (0, 1):
        shares = np.linspace(hidden or -0.08, wear.length, 8 + int(6 * wear.length))
        rings = anatomy.leg(skeleton, body, side, shares)
        # Loose at the shin as much as at the thigh: trousers hang, they do not follow the calf.
        hang = np.interp(shares, (-0.1, 0.3, 1, 2), (0.003, 0.4 * wear.ease, 0.75 * wear.ease, wear.ease))
        if wear.ease > 0.012:
            hang = hang + np.maximum(0, 0.028 * skeleton.scale - rings.half_width)
        bump = folds(len(shares), 16, 0.9 * wear.ease, wear.material.seed + side)
        cloth = rings.grown((0.003 + hang).astype(np.float32))
        parts.append(loft(cloth, wear.material, label, columns=16, bump=bump, two_sided=True))
    return parts


def skirt(skeleton: Skeleton, body: Body, wear: Skirt, label: int, waist: float) -> Mesh:
    upper = anatomy.torso(skeleton, body, np.linspace(waist, 0.0, 5)).grown(0.008)
    shares = np.linspace(0.1, wear.length, 5 + int(6 * wear.length))
    lower = anatomy.both_legs(skeleton, body, shares)
    lower = lower.grown((0.008 + wear.flare * shares / 1.5).astype(np.float32))
    rings = joined(upper, lower)
    columns = 40
    growth = np.concatenate([np.zeros(5), shares / max(wear.length, 0.3)])[:, None]
    angle = np.linspace(0, 2 * np.pi, columns + 1)[None, :]
    pleats = np.sin(wear.pleats * angle + wear.material.seed % 7) * 0.02 + np.sin(3 * angle) * 0.015
    bump = (1 + growth * pleats * (1 + 8 * wear.flare)).astype(np.float32)
    return loft(rings, wear.material, label, columns=columns, bump=bump, two_sided=True)


def coat(skeleton: Skeleton, body: Body, wear: Coat, under: float, flare: float) -> list[Mesh]:
    """An outer layer, open at the front when it has a gap: what lies under shows through.

    under, flare: thickness of the top and widening of the skirt that it must cover.
    """
    thick = wear.ease + under
    heights = np.concatenate([[0.30, 0.29], np.linspace(0.277, 0.02, 13)])
    ease = thick * np.clip((0.30 - heights) / 0.06, 0.3, 1)
    upper = anatomy.torso(skeleton, body, heights).grown(ease.astype(np.float32))
    rings = upper
    if wear.length > 0.05:
        shares = np.linspace(0.06, wear.length, 3 + int(6 * wear.length))
        lower = anatomy.both_legs(skeleton, body, shares)
        rings = joined(upper, lower.grown((thick + (0.02 + flare / 1.5) * shares).astype(np.float32)))
    columns = 32
    rows = len(rings.centers)
    arc: tuple[float | Floats, float | Floats] = FULL_TURN
    if wear.gap:
        gap = (wear.gap * np.linspace(0.6, 1.1, rows)).astype(np.float32)
        arc = FRONT + gap, FRONT + 2 * np.pi - gap
    bump = folds(rows, columns, 0.5 * thick, wear.material.seed)
    parts = [loft(rings, wear.material, COAT, columns=columns, arc=arc, bump=bump, two_sided=True)]
    if wear.sleeve:
        parts += [sleeve(skeleton, body, side, wear.sleeve, thick, wear.material, COAT) for side in (0, 1)]
    if wear.collar:
        heights = np.linspace(0.318, 0.285, 4)
        rings = anatomy.torso(skeleton, body, heights).grown(np.array((0.014, 0.012, 0.012, 0.014), np.float32))
        open_by = max(wear.gap * 0.6, 0.25)
        arc = (FRONT + open_by, FRONT + 2 * np.pi - open_by)
        parts.append(loft(rings, wear.material, COAT, columns=20, arc=arc, two_sided=True))
    return parts


def scarf(skeleton: Skeleton, body: Body, material: Material) -> list[Mesh]:
    """A roll around the neck, mostly with one or two ends hanging in front."""
    rng = np.random.default_rng(material.seed)
    heights = np.array((0.335, 0.33, 0.315, 0.30, 0.285, 0.27))
    puff = np.array((0.004, 0.018, 0.028, 0.030, 0.024, 0.002)) * rng.uniform(0.7, 1.3)
    rings = anatomy.torso(skeleton, body, np.minimum(heights, 0.303))
    lift = skeleton.chest[:, 1] * ((heights - np.minimum(heights, 0.303)) * skeleton.scale)[:, None]
    rings = Rings(
        (rings.centers + lift).astype(np.float32), rings.side, rings.front, rings.half_width, rings.half_depth
    )
    bump = folds(6, 24, 0.06, material.seed)
    parts = [loft(rings.grown(puff.astype(np.float32)), material, SCARF, columns=24, bump=bump)]
    for at in rng.uniform(-0.05, 0.05, rng.integers(0, 3)):
        heights = np.linspace(0.285, 0.285 - rng.uniform(0.08, 0.26), 8)
        chest = anatomy.torso(skeleton, body, heights)
        middle = (
            chest.centers + chest.front * (chest.half_depth + 0.045)[:, None] + chest.side * (at + 0.03 * np.sign(at))
        )
        strip = Rings(
            middle.astype(np.float32),
            chest.side,
            chest.front,
            np.full(8, 0.045, np.float32),
            np.full(8, 0.012, np.float32),
        )
        parts.append(loft(strip, material, SCARF, columns=10, two_sided=True))
    return parts


def hat(skeleton: Skeleton, body: Body, wear: Hat, hair_volume: float) -> list[Mesh]:
    """A dome, and a brim or visor for some kinds."""
    brow = {"beanie": 0.60, "cap": 0.68, "brim": 0.70, "bucket": 0.62}[wear.kind]
    tall = {"beanie": 0.02, "cap": 0.012, "brim": 0.05, "bucket": 0.035}[wear.kind] * wear.size
    heights = np.concatenate([np.linspace(1.0, 0.9, 5), np.linspace(0.86, brow, 5)])
    dome = anatomy.head(skeleton, body, heights)
    over = 0.008 + min(hair_volume, 0.03)
    grown = dome.grown(over)
    # Hats are rounder on top than skulls: widen the crown towards the hat's own width.
    full = np.linspace(0, 1, 10) ** (0.22 if wear.kind in ("brim", "bucket") else 0.42)
    lift = skeleton.head[:, 1] * (np.linspace(1, 0, 10) ** 0.7 * (tall + over))[:, None]
    rings = Rings(
        (grown.centers + lift).astype(np.float32),
        grown.side,
        grown.front,
        (grown.half_width[-1] * full).astype(np.float32),
        (grown.half_depth[-1] * full).astype(np.float32),
    )
    parts = [loft(rings, wear.material, HAT, columns=24, two_sided=True)]
    if wear.kind == "beanie":
        return parts
    reach = {"cap": 0.075, "brim": 0.085, "bucket": 0.05}[wear.kind] * wear.size
    drop = {"cap": 0.016, "brim": 0.004, "bucket": 0.045}[wear.kind]
    steps = np.linspace(0, 1, 4, dtype=np.float32)
    last = [getattr(rings, f)[-1:] for f in ("centers", "side", "front")]
    centers, side, front = (np.repeat(part, 4, 0) for part in last)
    edge = Rings(
        (centers - skeleton.head[:, 1] * (drop * steps**1.5)[:, None]).astype(np.float32),
        side,
        front,
        rings.half_width[-1] + reach * (0.3 if wear.kind == "cap" else 1) * steps,
        rings.half_depth[-1] + reach * steps,
    )
    arc = (FRONT - 0.95, FRONT + 0.95) if wear.kind == "cap" else FULL_TURN
    parts.append(loft(edge, wear.material, HAT, columns=24, arc=arc, two_sided=True))
    return parts


def sunglasses(skeleton: Skeleton, body: Body, material: Material) -> Mesh:
    """Two lenses, a bridge and the arms to the ears."""
    arc = (FRONT - 1.75, FRONT + 1.75)
    columns = 56
    heights = np.array((0.60, 0.575, 0.55, 0.50, 0.455, 0.425))
    rings = anatomy.head(skeleton, body, heights).grown(0.007)
    front = from_front(columns, arc)
    lens = (front > 0.13) & (front < 0.88)
    keep = np.stack([lens & (np.abs(front - 0.5) < 0.32), np.full(columns, True), lens, lens, lens & (front < 0.75)])
    return loft(rings, material, SUNGLASSES, columns=columns, arc=arc, keep=keep, two_sided=True)


def tube(limb_rings: Rings, ease: float, material: Material, label: int, columns: int = 14) -> Mesh:
    """A sock, boot shaft or glove cuff."""
    return loft(limb_rings.grown(ease), material, label, columns=columns, two_sided=True)


def is_tucked(outfit: Outfit) -> bool:
    """Whether the top ends inside what is worn below; dresses and jumpsuits are joined there."""
    return outfit.top.label != UPPER or outfit.top.hem < 0
