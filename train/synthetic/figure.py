"""A person as one mesh: skin, hair, clothes, in that order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rtparse.classes import CLASSES
from rtparse.train.synthetic import anatomy, clothes
from rtparse.train.synthetic.body import Body, Pose, Skeleton, skeleton
from rtparse.train.synthetic.clothes import (
    FACE,
    FRONT,
    GLOVE,
    LEFT_ARM,
    LEFT_LEG,
    LEFT_SHOE,
    PANTS,
    SKIRT,
    SOCKS,
)
from rtparse.train.synthetic.material import Material
from rtparse.train.synthetic.mesh import Floats, Mesh, Rings, loft
from rtparse.train.synthetic.outfit import DRESS, JUMPSUIT, UPPER, Outfit

HAIR = CLASSES.index("hair")
HAT_LINE = 0.66
"""Under a hat, hair above this share of the head is pressed flat."""


@dataclass(frozen=True)
class Person:
    """Someone in the world: shape, clothes, pose and place (x, z) in metres on the ground."""

    outfit: Outfit
    body: Body = field(default_factory=Body)
    pose: Pose = field(default_factory=Pose)
    place: tuple[float, float] = (0.0, 0.0)


def figure(person: Person, *, fingers: bool = True) -> Mesh:
    """Build the mesh; `fingers` False saves time on people too small to show them."""
    bones = skeleton(person.body, _beside_clothes(person.pose, person.outfit), person.place)
    outfit, body = person.outfit, person.body
    parts = _head(bones, body, outfit)
    parts += _torso_and_arms(bones, person, fingers)
    parts += _legs(bones, person)

    tucked = clothes.is_tucked(outfit)
    waist = 0.085 if tucked else 0.01
    parts += clothes.top(bones, body, outfit.top, tucked)
    if outfit.legwear is not None:
        label = JUMPSUIT if outfit.top.label == JUMPSUIT and outfit.skirt is None else PANTS
        parts += clothes.legwear(bones, body, outfit.legwear, label, waist, _hidden(outfit))
    if outfit.skirt is not None:
        label = DRESS if outfit.top.label == DRESS else SKIRT
        parts.append(clothes.skirt(bones, body, outfit.skirt, label, waist))
    if outfit.coat is not None:
        flare = outfit.skirt.flare if outfit.skirt is not None else 0.0
        parts += clothes.coat(bones, body, outfit.coat, outfit.top.ease + 0.012, flare)
    if outfit.scarf is not None:
        parts += clothes.scarf(bones, body, outfit.scarf)
    if outfit.hat is not None:
        parts += clothes.hat(bones, body, outfit.hat, outfit.hair.volume)
    if outfit.sunglasses is not None:
        parts.append(clothes.sunglasses(bones, body, outfit.sunglasses))
    if outfit.bag is not None:
        parts += _bag(bones, outfit.bag)
    return Mesh.joined(parts)


def _beside_clothes(pose: Pose, outfit: Outfit) -> Pose:
    """Hanging hands moved outwards, clear of wide coats and skirts."""
    wide = 0.5 * outfit.top.ease
    if outfit.coat is not None:
        wide += outfit.coat.ease + 0.02 * min(outfit.coat.length + 0.5, 1)
    if outfit.skirt is not None:
        wide += 0.4 * outfit.skirt.flare
    (lx, ly, lz), (rx, ry, rz) = pose.wrists
    left, right = (2.5 * wide * min(max(-y - 0.6, 0) / 0.3, 1) for y in (ly, ry))
    return replace(pose, wrists=((lx + left, ly, lz), (rx - right, ry, rz)))


def _head(bones: Skeleton, body: Body, outfit: Outfit) -> list[Mesh]:
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
    tip = middle + z * (0.068 * size) - y * (0.014 * size)
    root = middle + z * (0.052 * size) + y * (0.012 * size)
    base = middle + z * (0.050 * size) - y * (0.020 * size)
    nose = _blob((root, (root + tip) / 2 + z * 0.001, tip, base), (0.004, 0.007, 0.0105, 0.006), size, x, z)
    parts.append(loft(nose, skin, FACE, columns=8))
    for sign in (1.0, -1.0) if hair.kind not in ("bob", "long") else ():
        ear = middle + x * (sign * 0.045 * size) - z * (0.006 * size)
        stack = [ear + y * (h * size) for h in (0.018, 0.010, -0.004, -0.016)]
        parts.append(loft(_blob(stack, (0.002, 0.009, 0.008, 0.002), size, x * 0.5, z), skin, FACE, columns=8))
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
                    _blob(stack, (0.003, 0.02, 0.027, 0.02, 0.003), size, bones.head[:, 0], ahead), hair.material, HAIR
                )
            )
        else:
            t = np.linspace(0, 1, 8)
            fall = -up * 0.4 - np.array((0.0, 0.6, 0.0))
            swing = bones.head[:, 0] * float(rng.uniform(-0.25, 0.25))
            stack = [
                at + (-ahead * 0.03 * np.sin(2.2 * s) + (fall + swing) * (0.06 + 0.16 * hair.length) * s) * size
                for s in t
            ]
            thick = (0.010, 0.019, 0.023, 0.024, 0.022, 0.018, 0.012, 0.003)
            parts.append(loft(_blob(stack, thick, size, bones.head[:, 0], ahead), hair.material, HAIR))
    return parts


def _torso_and_arms(bones: Skeleton, person: Person, fingers: bool) -> list[Mesh]:
    outfit, body, pose = person.outfit, person.body, person.pose
    heights = np.concatenate([[0.304, 0.29], np.linspace(0.276, 0.12, 12)])
    columns = 24
    # Skin at a neckline counts as face, the shoulder beside a strap as arm.
    edges = np.linspace(0, 2 * np.pi, columns + 1)
    sideways = np.cos((edges[1:] + edges[:-1]) / 2)[None, :]
    level = heights[:-1, None]
    outer = (np.abs(sideways) > 0.78) & (level < 0.285)
    labels = np.where(outer, np.where(sideways > 0, LEFT_ARM, LEFT_ARM + 1), FACE).astype(np.uint8)
    parts = [loft(anatomy.torso(bones, body, heights), outfit.skin, labels, columns=columns)]
    covered = max(outfit.top.sleeve, outfit.coat.sleeve if outfit.coat is not None else 0.0)
    start = covered - 0.15 if covered > 0 else -0.1
    for side in (0, 1):
        shares = np.unique(np.concatenate([np.linspace(start, 2.0, 6 + int(7 * (2 - start) / 2)), [2.0]]))
        if start < 0:
            shares = np.concatenate([[-0.1, -0.085, -0.07, -0.03], shares[shares > 0]])
        parts.append(loft(anatomy.arm(bones, body, side, shares), outfit.skin, LEFT_ARM + side, columns=14))
        material, label = outfit.skin, LEFT_ARM + side
        if outfit.gloves is not None:
            material, label = outfit.gloves, GLOVE
            cuff = anatomy.arm(bones, body, side, np.linspace(1.75, 2.05, 4))
            parts.append(clothes.tube(cuff, 0.005, material, label))
        for rings in anatomy.hand(bones, side, pose.curl[side], pose.twist[side], fingers=fingers):
            grown = rings.grown(0.002) if outfit.gloves is not None else rings
            parts.append(loft(grown, material, label, columns=8))
    return parts


def _legs(bones: Skeleton, person: Person) -> list[Mesh]:
    outfit, body = person.outfit, person.body
    covered = max(outfit.legwear.length if outfit.legwear is not None else 0.0, _hidden(outfit))
    parts: list[Mesh] = []
    for side in (0, 1):
        if covered < 1.9:
            shares = np.linspace(max(covered - 0.1, 0), 2.1, 14)
            parts.append(loft(anatomy.leg(bones, body, side, shares), outfit.skin, LEFT_LEG + side, columns=16))
        shoes, socks = outfit.shoes, outfit.socks
        foot = anatomy.foot(bones, side)
        tights = outfit.legwear is not None and outfit.skirt is not None
        if socks is not None:
            shin = anatomy.leg(bones, body, side, np.linspace(2 - socks.height, 2.1, 8))
            parts.append(clothes.tube(shin, 0.004 if not tights else 0.0, socks.material, SOCKS))
        if shoes is None:
            if socks is not None:
                parts.append(loft(foot.grown(0.003), socks.material, SOCKS, columns=14))
            elif tights and outfit.legwear is not None:
                parts.append(loft(foot.grown(0.002), outfit.legwear.material, PANTS, columns=14))
            else:
                parts.append(loft(foot, outfit.skin, LEFT_LEG + side, columns=14))
            continue
        parts.append(loft(foot.grown(0.007), shoes.material, LEFT_SHOE + side, columns=14))
        top = 1.93 if shoes.shaft == 0 else 2 - shoes.shaft
        shaft = anatomy.leg(bones, body, side, np.linspace(top, 2.12, 3 + int(8 * shoes.shaft)))
        loose = 0.004 if shoes.shaft == 0 else 0.012
        parts.append(clothes.tube(shaft, loose, shoes.material, LEFT_SHOE + side))
        if shoes.heel > 0:
            heel = foot.centers[1] - bones.feet[side][:, 1] * 0.01
            down = -bones.feet[side][:, 1]
            stack = [heel, heel + down * (shoes.heel + 0.012), heel + down * (shoes.heel + 0.013)]
            x, z = bones.feet[side][:, 0], bones.feet[side][:, 2]
            parts.append(
                loft(_blob(stack, (0.02, 0.014, 0.002), 1.0, x, z), shoes.material, LEFT_SHOE + side, columns=8)
            )
    return parts


def _hidden(outfit: Outfit) -> float:
    """How far down a skirt surely hides the legs, in limb shares: nothing is built there that could poke through."""
    return max(outfit.skirt.length - 0.15, 0.0) if outfit.skirt is not None else 0.0


def _bag(bones: Skeleton, material: Material) -> list[Mesh]:
    """Something carried: it belongs to the background, as in the labels that the model learns from."""
    rng = np.random.default_rng(material.seed)
    side = int(rng.integers(2))
    grip = bones.arms[side].points[2] - bones.arms[side].lower[:, 1] * (0.05 * bones.scale)
    wide, deep, tall, strap = (
        rng.uniform(0.08, 0.2),
        rng.uniform(0.03, 0.08),
        rng.uniform(0.12, 0.32),
        rng.uniform(0.05, 0.3),
    )
    down = np.array((0.0, -1.0, 0.0), np.float32)
    heights = np.array((0.0, 0.001, 0.01, 0.5, 0.99, 1.0, 1.001)) * tall + strap
    taper = np.array((0.01, 0.8, 1.0, 1.05, 1.0, 0.9, 0.01))
    x, z = bones.pelvis[:, 2], -bones.pelvis[:, 0]
    body = Rings(
        (grip + down * heights[:, None]).astype(np.float32),
        np.tile(x, (7, 1)),
        np.tile(z, (7, 1)),
        (wide * taper).astype(np.float32),
        (deep * taper).astype(np.float32),
    )
    handle = _blob([grip, grip + down * (strap + 0.01)], (0.006, 0.006), 1.0, x, z)
    return [loft(body, material, 0, columns=12), loft(handle, material, 0, columns=6)]


def _blob(
    stack: list[Floats] | tuple[Floats, ...], radii: tuple[float, ...], size: float, side: Floats, front: Floats
) -> Rings:
    """Rings of given radii (shares of `size`) through a stack of points that runs downwards."""
    n = len(stack)
    radius = (np.array(radii) * size).astype(np.float32)
    return Rings(np.array(stack, np.float32), np.tile(side, (n, 1)), np.tile(front, (n, 1)), radius, radius)


__all__ = ["UPPER", "Person", "figure"]
