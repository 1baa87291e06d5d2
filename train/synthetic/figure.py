"""A person as one mesh: skin, hair, clothes, in that order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rtparse.train.synthetic import anatomy, clothes, extremities
from rtparse.train.synthetic.body import Body, Pose, Skeleton, skeleton
from rtparse.train.synthetic.clothes import (
    FACE,
    GLOVE,
    LEFT_ARM,
    LEFT_LEG,
    LEFT_SHOE,
    PANTS,
    SKIRT,
    SOCKS,
)
from rtparse.train.synthetic.head import head
from rtparse.train.synthetic.material import Material
from rtparse.train.synthetic.mesh import Mesh, Rings, loft
from rtparse.train.synthetic.outfit import DRESS, JUMPSUIT, Outfit


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
    parts = head(bones, body, outfit)
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
        under = max(outfit.top.ease, outfit.legwear.ease if outfit.legwear is not None else 0.0) + 0.012
        parts += clothes.coat(bones, body, outfit.coat, under, flare)
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
        for rings in extremities.hand(bones, side, pose.curl[side], pose.twist[side], fingers=fingers):
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
        foot = extremities.foot(bones, side)
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
                loft(Rings.through(stack, (0.02, 0.014, 0.002), 1.0, x, z), shoes.material, LEFT_SHOE + side, columns=8)
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
    handle = Rings.through([grip, grip + down * (strap + 0.01)], (0.006, 0.006), 1.0, x, z)
    return [loft(body, material, 0, columns=12), loft(handle, material, 0, columns=6)]
