"""Head, face and hair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtparse.classes import CLASSES
from rtparse.train.synthetic import anatomy, clothes
from rtparse.train.synthetic.body import Body, Skeleton
from rtparse.train.synthetic.clothes import FACE, FRONT
from rtparse.train.synthetic.mesh import Mesh, Rings, loft
from rtparse.train.synthetic.outfit import Outfit

HAIR = CLASSES.index("hair")
HAT_LINE = 0.66
"""Under a hat, hair above this share of the head is pressed flat."""


def head(bones: Skeleton, body: Body, outfit: Outfit) -> list[Mesh]:
    """Skull with the face painted on, neck, nose, ears and hair."""
    heights = np.array((1.0, 0.985, 0.95, 0.88, 0.78, 0.7, 0.62, 0.54, 0.46, 0.38, 0.3, 0.22, 0.15, 0.08, 0.02, 0.0))
    skin = outfit.skin
    hair = outfit.hair
    lips = tuple(float(np.clip(c * f, 0, 1)) for c, f in zip(skin.colors[0], (0.7, 0.62, 0.88), strict=True))
    face = replace(
        skin,
        pattern="beard" if hair.beard > 0 else "face",
        colors=(skin.colors[0], hair.material.colors[0], (lips[0], lips[1], lips[2])),
        scale=1.0,
        seed=hair.material.seed,
    )
    skull = loft(anatomy.head(bones, body, heights), face, FACE, columns=32)
    around = np.broadcast_to(np.linspace(0, 1, 33), (16, 33))
    up = np.broadcast_to(1 - heights[:, None], (16, 33))
    skull = replace(skull, uv=np.stack([around, up], -1).reshape(-1, 2).astype(np.float32))
    parts = [skull, loft(anatomy.neck(bones, body), skin, FACE, columns=16)]

    size = bones.scale * body.head
    x, y, z = bones.head.T
    middle = bones.skull + y * ((anatomy.CHIN_UP + 0.5 * anatomy.HEAD_HEIGHT) * size)
    tip = middle + z * (0.0655 * size) - y * (0.014 * size)
    root = middle + z * (0.052 * size) + y * (0.012 * size)
    base = middle + z * (0.050 * size) - y * (0.020 * size)
    nose = Rings.through((root, (root + tip) / 2 + z * 0.001, tip, base), (0.004, 0.007, 0.0105, 0.006), size, x, z)
    parts.append(loft(nose, skin, FACE, columns=8))
    for sign in (1.0, -1.0) if hair.kind not in ("bob", "long") else ():
        ear = middle + x * (sign * 0.045 * size) - z * (0.006 * size)
        stack = [ear + y * (h * size) for h in (0.018, 0.010, -0.004, -0.016)]
        parts.append(loft(Rings.through(stack, (0.002, 0.009, 0.008, 0.002), size, x * 0.5, z), skin, FACE, columns=8))
    return parts + _hair(bones, body, outfit)


def _hair(bones: Skeleton, body: Body, outfit: Outfit) -> list[Mesh]:
    """A shell over the skull with the face left free, and what hangs from it."""
    hair = outfit.hair
    if hair.kind == "bald":
        return []
    rng = np.random.default_rng(hair.material.seed)
    heights = np.concatenate([(1.0, 0.985, 0.96, 0.93), np.linspace(0.9, 0.1, 20)])
    rings = anatomy.head(bones, body, heights)
    volume = np.full(len(heights), hair.volume, np.float32)
    if outfit.hat is not None:
        volume = np.where(heights > HAT_LINE - 0.05, 0.003, volume).astype(np.float32)
    columns = 48
    angle = np.linspace(0, 2 * np.pi, columns + 1)[None, :]
    front = np.abs((angle - FRONT + np.pi) % (2 * np.pi) - np.pi)
    level = heights[:, None]
    # Hair shows above the hairline or behind the temples, and not below the nape.
    line = rng.uniform(0.74, 0.86) + 0.04 * np.sin(3 * angle + rng.uniform(0, 6))
    lowest = {"short": 0.28, "afro": 0.25, "bob": -1.0, "long": -1.0}.get(hair.kind, 0.24)
    temple = rng.uniform(0.95, 1.15) if lowest < 0 else 1.25
    behind = (front - temple - 0.3 * np.clip(level - 0.5, 0, 0.3)) / 0.12
    inside = np.maximum((level - line) / 0.03, behind)
    if lowest > 0:
        ears = np.maximum((level - max(lowest + 0.2, 0.44)) / 0.03, (front - 1.95) / 0.15)
        inside = np.minimum(inside, np.minimum(ears, (level - lowest) / 0.03))
    shell = rings.grown(volume)
    rise = np.interp(heights, (0.5, 1), (0, 1)) * volume
    shell = replace(shell, centers=(shell.centers + bones.head[:, 1] * rise[:, None]).astype(np.float32))
    strength = 0.03 if hair.kind != "afro" else 0.05
    bump = clothes.folds(len(heights), columns, strength, hair.material.seed)
    bump *= clothes.showing(shell, inside, (volume + 0.08 * shell.half_depth)[:, None])
    parts = [loft(shell, hair.material, HAIR, columns=columns, bump=bump)]

    size = bones.scale
    up, ahead = bones.head[:, 1], bones.head[:, 2]
    if hair.kind in ("bob", "long"):
        reach = 0.05 if hair.kind == "bob" else 0.06 + 0.17 * hair.length
        t = np.linspace(0, 1, 9, dtype=np.float32)
        skull = anatomy.head(bones, body, np.array((0.5,)))
        start = skull.centers[0]
        behind = bones.neck - bones.chest[:, 1] * (max(reach - 0.06, 0) * size) - bones.chest[:, 2] * (0.022 * size)
        end = behind if hair.kind == "long" else start - up * ((0.07 + reach * 0.5) * size) - ahead * (0.004 * size)
        bow = start - up * (0.07 * size) - ahead * (0.008 * size)
        middle = start * ((1 - t) ** 2)[:, None] + bow * (2 * t * (1 - t))[:, None] + end * (t**2)[:, None]
        axes = bones.head * (1 - t)[:, None, None] + bones.chest * t[:, None, None]
        wide = skull.half_width[0] + hair.volume + t * (0.012 + 0.012 * hair.length) * size
        deep = skull.half_depth[0] + hair.volume - t * 0.004 * size
        hanging = Rings(middle.astype(np.float32), axes[:, :, 0], axes[:, :, 2], wide, deep)
        opening = float(rng.uniform(0.95, 1.25))
        arc = (FRONT + opening, FRONT + 2 * np.pi - opening)
        ragged = clothes.folds(9, 28, 0.04, hair.material.seed + 1)
        parts.append(loft(hanging, hair.material, HAIR, columns=28, arc=arc, bump=ragged, two_sided=True))
    if hair.kind in ("bun", "ponytail"):
        at = bones.skull + up * (0.115 * size) - ahead * (0.062 * size)
        if hair.kind == "bun":
            at = at + up * (0.03 * size * rng.uniform(-1, 1))
            stack = [at + up * (h * size) for h in (0.026, 0.019, 0.0, -0.019, -0.026)]
            parts.append(
                loft(
                    Rings.through(stack, (0.003, 0.02, 0.027, 0.02, 0.003), size, bones.head[:, 0], ahead),
                    hair.material,
                    HAIR,
                )
            )
        else:
            fall = -up * 0.4 - np.array((0.0, 0.6, 0.0))
            swing = bones.head[:, 0] * float(rng.uniform(-0.25, 0.25))
            stack = [
                at + (-ahead * 0.03 * np.sin(2.2 * s) + (fall + swing) * (0.06 + 0.16 * hair.length) * s) * size
                for s in np.linspace(0, 1, 8)
            ]
            thick = (0.010, 0.019, 0.023, 0.024, 0.022, 0.018, 0.012, 0.003)
            parts.append(loft(Rings.through(stack, thick, size, bones.head[:, 0], ahead), hair.material, HAIR))
    return parts
