"""The skeleton: proportions, a pose, and where that puts every bone.

A person's own axes: x to the left, y up, z to the front. Lengths are metres unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.train.synthetic.mesh import Floats

Vector = tuple[float, float, float]
Pair3 = tuple[Vector, Vector]
"""One vector for the left limb, one for the right."""

LEG = 0.2475
"""Thigh and shin length over body height; ankles are ANKLE above the sole, hips HIP to each side of the middle."""
ANKLE = 0.042
HIP = 0.052
SHOULDER_UP, SHOULDER_OUT = 0.258, 0.098
UPPER_ARM, FOREARM = 0.172, 0.152
CHEST_UP, NECK_UP, HEAD_UP = 0.13, 0.292, 0.318
"""Heights of the spine's bend, the neck's foot and the head's pivot above the hips, over body height."""


@dataclass(frozen=True)
class Body:
    """Proportions. girth: 1 is average, 1.4 heavy. female: 0 broad shoulders to 1 broad hips and bust. head: factor
    on its size (children have more). legs: factor on their length."""

    height: float = 1.72
    girth: float = 1.0
    female: float = 0.0
    head: float = 1.0
    legs: float = 1.0


@dataclass(frozen=True)
class Pose:
    """Angles in radians; wrists and ankles as points, which two-bone geometry turns into elbows and knees.

    heading: turn about the vertical, 0 faces the world's +z. pelvis, spine, head: pitch (forwards), yaw (to the left)
    and roll (leaning to the left). wrists: from the shoulder in the chest's axes, in arm lengths; elbows: the side to
    which they point. ankles: from the hip in the person's axes, in leg lengths; knees: as elbows. Every pair is (left,
    right). feet: pitch of each foot, toes down positive; toes_out: their turn. curl: fingers, 0 flat to 1 fist.
    twist: turn of each hand about the forearm. lift: metres above the ground of the lower foot.
    """

    heading: float = 0.0
    pelvis: Vector = (0.0, 0.0, 0.0)
    spine: Vector = (0.0, 0.0, 0.0)
    head: Vector = (0.0, 0.0, 0.0)
    wrists: Pair3 = ((0.14, -0.97, 0.06), (-0.14, -0.97, 0.06))
    elbows: Pair3 = ((0.3, 0.0, -1.0), (-0.3, 0.0, -1.0))
    ankles: Pair3 = ((0.06, -0.99, 0.0), (-0.06, -0.99, 0.0))
    knees: Pair3 = ((0.1, 0.0, 1.0), (-0.1, 0.0, 1.0))
    feet: tuple[float, float] = (0.0, 0.0)
    toes_out: tuple[float, float] = (0.2, 0.2)
    curl: tuple[float, float] = (0.4, 0.4)
    twist: tuple[float, float] = (0.0, 0.0)
    lift: float = 0.0

    def mirrored(self) -> Pose:
        """The pose that a mirror shows: left and right change places."""

        def pair(points: Pair3) -> Pair3:
            (lx, ly, lz), (rx, ry, rz) = points
            return (-rx, ry, rz), (-lx, ly, lz)

        def turn(angles: Vector) -> Vector:
            return angles[0], -angles[1], -angles[2]

        return replace(
            self,
            heading=-self.heading,
            pelvis=turn(self.pelvis),
            spine=turn(self.spine),
            head=turn(self.head),
            wrists=pair(self.wrists),
            elbows=pair(self.elbows),
            ankles=pair(self.ankles),
            knees=pair(self.knees),
            feet=self.feet[::-1],
            toes_out=self.toes_out[::-1],
            curl=self.curl[::-1],
            twist=self.twist[::-1],
        )


def blended(first: Pose, second: Pose, share: float) -> Pose:
    """A pose on the way from one (share 0) to another (share 1)."""

    def mix(a: Any, b: Any) -> Any:
        return tuple(map(mix, a, b)) if isinstance(a, tuple) else a + (b - a) * share

    return Pose(**{f.name: mix(getattr(first, f.name), getattr(second, f.name)) for f in fields(Pose)})


@dataclass(frozen=True, eq=False)
class Limb:
    """points: (3, 3) root, joint and end. upper, lower: (3, 3) axes of the two bones in columns: x towards the person's
    left at rest, y from the far end to the root, z to the front of elbow or knee."""

    points: Floats
    upper: Floats
    lower: Floats


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Bones in the world. Axes have their vectors in columns; origins are (3,). Limbs and hands are (left, right)."""

    scale: float
    hips: Floats
    pelvis: Floats
    waist: Floats
    chest: Floats
    neck: Floats
    skull: Floats
    head: Floats
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    feet: tuple[Floats, Floats]


def turned(pitch: float, yaw: float, roll: float) -> Floats:
    """(3, 3) rotation: pitch nods to the front, yaw turns to the left, roll leans to the left."""
    cp, sp, cy, sy, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float32)


def skeleton(body: Body, pose: Pose, place: tuple[float, float] = (0.0, 0.0)) -> Skeleton:
    """Put the bones into the world, the lower foot on the ground (y = 0) at `place` (x, z)."""
    size = body.height
    world = turned(0, pose.heading, 0)
    pelvis = world @ turned(*pose.pelvis)
    chest = np.asarray(pelvis @ turned(*pose.spine), np.float32)
    head = np.asarray(chest @ turned(*pose.head), np.float32)
    hips = np.zeros(3, np.float32)
    waist = hips + pelvis[:, 1] * (CHEST_UP * size)
    neck = waist + chest[:, 1] * ((NECK_UP - CHEST_UP) * size)
    middle = head[:, 1] + chest[:, 1]
    skull = neck + middle / np.linalg.norm(middle) * ((HEAD_UP - NECK_UP) * size)

    shoulder_out = SHOULDER_OUT * (1.03 - 0.12 * body.female) * (0.75 + 0.25 * body.girth)
    leg = LEG * body.legs * size
    arms, legs, feet = [], [], []
    for side, sign in enumerate((1.0, -1.0)):
        shoulder = waist + chest @ np.array([sign * shoulder_out, SHOULDER_UP - CHEST_UP, -0.004]) * size
        reach = chest @ np.array(pose.wrists[side]) * (UPPER_ARM + FOREARM) * size
        pole = chest @ np.array(pose.elbows[side])
        arms.append(_limb(shoulder, shoulder + reach, -pole, UPPER_ARM * size, FOREARM * size, bend_back=True))
        hip = hips + pelvis @ np.array([sign * HIP * (1 + 0.08 * body.female), 0, 0]) * size
        reach = world @ np.array(pose.ankles[side]) * 2 * leg
        legs.append(_limb(hip, hip + reach, world @ np.array(pose.knees[side]), leg, leg, bend_back=False))
        feet.append(world @ turned(pose.feet[side], sign * pose.toes_out[side], 0))

    ground = min(float(limb.points[2, 1]) for limb in legs) - ANKLE * size
    move = np.array([place[0], pose.lift - ground, place[1]], np.float32)

    def moved(limb: Limb) -> Limb:
        return Limb(limb.points + move, limb.upper, limb.lower)

    return Skeleton(
        size,
        np.asarray(hips + move, np.float32),
        pelvis,
        np.asarray(waist + move, np.float32),
        chest,
        np.asarray(neck + move, np.float32),
        np.asarray(skull + move, np.float32),
        head,
        (moved(arms[0]), moved(arms[1])),
        (moved(legs[0]), moved(legs[1])),
        (feet[0], feet[1]),
    )


def _limb(
    root: NDArray[np.floating],
    end: NDArray[np.floating],
    front: NDArray[np.floating],
    upper: float,
    lower: float,
    *,
    bend_back: bool,
) -> Limb:
    """Two bones from root towards end; the joint lies on the front side of the line, or behind it with `bend_back`."""
    line = end - root
    distance = float(np.clip(np.linalg.norm(line), abs(upper - lower) * 1.05 + 1e-3, (upper + lower) * 0.9995))
    line = line / (np.linalg.norm(line) + 1e-9)
    front = front - line * float(front @ line)
    if np.linalg.norm(front) < 1e-3:
        front = np.array([0.0, line[2], -line[1]]) + 1e-3
        front = front - line * float(front @ line)
    front = front / np.linalg.norm(front)
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    off = np.sqrt(max(upper**2 - along**2, 0.0))
    joint = root + line * along + front * (-off if bend_back else off)
    end = root + line * distance
    return Limb(
        np.array([root, joint, end], np.float32), _axes(root - joint, front, upper), _axes(joint - end, front, lower)
    )


def _axes(up: NDArray[np.floating], front: NDArray[np.floating], length: float) -> Floats:
    y = up / length
    z = front - y * float(front @ y)
    z = z / (np.linalg.norm(z) + 1e-9)
    return np.stack([np.cross(y, z), y, z], 1).astype(np.float32)
