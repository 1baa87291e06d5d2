"""How people stand, sit, walk and gesture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtparse.train.synthetic.body import Body, Pose, Vector

ARM_POSES: dict[str, tuple[Vector, Vector, float, float]] = {
    "hanging": ((0.12, -0.97, 0.08), (0.3, 0.0, -1.0), 0.4, 0.0),
    "loose": ((0.3, -0.88, 0.12), (0.6, 0.0, -1.0), 0.4, 0.0),
    "hip": ((-0.02, -0.68, 0.16), (1.0, 0.0, -0.5), 0.6, 0.6),
    "pocket": ((0.05, -0.88, 0.14), (0.8, 0.0, -1.0), 0.8, 0.0),
    "crossed": ((-0.52, -0.44, 0.42), (0.5, -1.0, 0.1), 0.4, 0.0),
    "folded": ((-0.22, -0.72, 0.38), (0.7, -0.2, -0.6), 0.5, 0.0),
    "up": ((0.22, 0.9, 0.1), (0.8, 0.1, 0.3), 0.2, 0.2),
    "wave": ((0.42, 0.36, 0.30), (0.6, -1.0, -0.2), 0.05, 0.1),
    "spread": ((0.95, 0.05, 0.1), (0.0, -0.5, -1.0), 0.1, 0.0),
    "forward": ((0.0, -0.1, 0.92), (0.5, -1.0, 0.0), 0.2, 0.0),
    "pointing": ((0.5, 0.05, 0.75), (0.3, -1.0, 0.0), 0.6, 0.0),
    "head": ((0.02, 0.42, 0.12), (1.0, 0.2, 0.0), 0.3, 0.6),
    "phone": ((-0.12, -0.28, 0.58), (0.5, -1.0, 0.0), 0.8, 0.3),
    "chin": ((-0.18, 0.08, 0.32), (0.4, -1.0, 0.2), 0.7, 0.3),
    "typing": ((-0.08, -0.58, 0.62), (0.5, -0.8, -0.3), 0.4, -0.8),
    "back": ((-0.2, -0.78, -0.28), (0.8, 0.0, -0.4), 0.6, 0.0),
}
"""Left wrist, left elbow's side, curl and twist; the right arm is the mirror image."""

SAME_ON_BOTH = ("crossed", "folded", "back", "up", "typing")
"""Poses that mostly come for both arms at once."""


def walking(phase: float, stride: float = 0.3) -> Pose:
    """A moment of a walk: phase 0..2 pi is two steps; arms swing against the legs."""
    ankles, feet, wrists = [], [], []
    for sign, moment in ((1.0, phase), (-1.0, phase + np.pi)):
        swing = max(0.0, float(np.cos(moment)))
        ahead = stride * float(np.sin(moment))
        drop = np.sqrt(max(0.993**2 - ahead**2, 0.1)) - 0.13 * swing * stride / 0.3
        ankles.append((sign * 0.02, -float(drop), ahead - 0.04))
        feet.append(
            0.75 * max(0.0, -float(np.sin(moment + 0.5))) * stride / 0.3 - 0.25 * max(0.0, float(np.sin(moment)))
        )
        arm = -1.6 * stride * float(np.sin(moment)) + 0.12
        wrists.append((sign * 0.14, -0.94 * float(np.cos(arm)), 0.94 * float(np.sin(arm)) + 0.06))
    return Pose(
        pelvis=(0.03, 0.25 * stride * float(-np.sin(phase)), 0.03 * float(np.cos(phase))),
        spine=(0.03, 0.5 * stride * float(np.sin(phase)), -0.03 * float(np.cos(phase))),
        head=(0.0, -0.25 * stride * float(np.sin(phase)), 0.0),
        wrists=(wrists[0], wrists[1]),
        ankles=(ankles[0], ankles[1]),
        feet=(feet[0], feet[1]),
        toes_out=(0.12, 0.12),
    )


def random_body(rng: np.random.Generator) -> Body:
    """Adults of all builds; one in eight a child."""
    female = float(np.clip(rng.normal(0.5, 0.5), 0, 1))
    girth = float(np.clip(rng.lognormal(0.03, 0.15), 0.8, 1.6))
    if rng.random() < 0.12:
        height = float(rng.uniform(0.95, 1.45))
        return Body(height, girth, 0.3, head=1.45 - 0.3 * (height - 0.95), legs=0.9)
    height = float(rng.normal(1.76 - 0.12 * female, 0.07))
    return Body(height, girth, female, head=float(rng.uniform(0.96, 1.06)), legs=float(rng.uniform(0.97, 1.04)))


def random_pose(rng: np.random.Generator) -> Pose:
    """A plausible pose facing +z."""
    stance = str(rng.choice(("stand", "contrapposto", "walk", "sit", "squat"), p=(0.32, 0.25, 0.22, 0.15, 0.06)))
    if stance == "walk":
        pose = walking(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.15, 0.42)))
        if rng.random() < 0.5:
            return _jittered(pose, rng)
    elif stance == "contrapposto":
        shift = float(rng.uniform(0.03, 0.12))
        pose = Pose(
            pelvis=(0.0, 0.1, shift),
            spine=(0.0, -0.1, -1.6 * shift),
            ankles=((0.02, -0.99, 0.0), (float(rng.uniform(-0.3, 0.1)), -0.95, float(rng.uniform(0, 0.25)))),
        )
    elif stance == "sit":
        height, apart = float(rng.uniform(-0.56, -0.42)), float(rng.uniform(0.0, 0.16))
        ahead = float(rng.uniform(0.35, 0.52))
        pose = Pose(
            spine=(float(rng.uniform(-0.15, 0.25)), 0.0, 0.0),
            ankles=((apart, height, ahead), (-apart, height, ahead + float(rng.uniform(-0.1, 0.1)))),
            knees=((0.25, 1.0, 0.6), (-0.25, 1.0, 0.6)),
        )
    elif stance == "squat":
        deep = float(rng.uniform(-0.8, -0.35))
        pose = Pose(
            pelvis=(0.4, 0.0, 0.0),
            spine=(0.2, 0.0, 0.0),
            head=(-0.4, 0.0, 0.0),
            ankles=((0.16, deep, 0.08), (-0.16, deep, 0.02)),
            knees=((0.4, 0.2, 1.0), (-0.4, 0.2, 1.0)),
        )
    else:
        apart = float(rng.uniform(-0.02, 0.16))
        pose = Pose(ankles=((apart, -0.985, 0.0), (-apart, -0.985, 0.0)))

    first = str(rng.choice(tuple(ARM_POSES)))
    both = (first in SAME_ON_BOTH and rng.random() < 0.8) or rng.random() < 0.3
    second = first if both else str(rng.choice(tuple(ARM_POSES)))
    (lw, le, lc, lt), (rw, re, rc, rt) = ARM_POSES[first], ARM_POSES[second]
    if first == second == "crossed":
        lw, rw = (lw[0], lw[1] + 0.06, lw[2] + 0.06), (rw[0], rw[1] - 0.06, rw[2] - 0.06)
    pose = replace(
        pose,
        wrists=(lw, (-rw[0], rw[1], rw[2])),
        elbows=(le, (-re[0], re[1], re[2])),
        curl=(lc, rc),
        twist=(lt, rt),
    )
    if rng.random() < 0.5:
        pose = pose.mirrored()
    return _jittered(pose, rng)


def upright_pose(rng: np.random.Generator) -> Pose:
    """Walking, or standing with each arm in a pose of its own, facing +z."""
    if rng.random() < 0.55:
        return _jittered(walking(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.15, 0.42))), rng)
    apart = float(rng.uniform(-0.02, 0.16))
    pose = Pose(ankles=((apart, -0.985, 0.0), (-apart, -0.985, 0.0)))
    names = rng.choice(("hanging", "loose", "wave", "up", "hip", "pointing"), 2, p=(0.35, 0.25, 0.15, 0.05, 0.1, 0.1))
    (lw, le, lc, lt), (rw, re, rc, rt) = (ARM_POSES[str(name)] for name in names)
    return _jittered(
        replace(
            pose,
            wrists=(lw, (-rw[0], rw[1], rw[2])),
            elbows=(le, (-re[0], re[1], re[2])),
            curl=(lc, rc),
            twist=(lt, rt),
        ),
        rng,
    )


def _jittered(pose: Pose, rng: np.random.Generator) -> Pose:
    """Everyone stands a little differently."""

    def near(point: Vector, by: float) -> Vector:
        x, y, z = (float(c + rng.normal(0, by)) for c in point)
        return x, y, z

    nod, turn, tilt = pose.head
    return replace(
        pose,
        pelvis=near(pose.pelvis, 0.04),
        spine=near(pose.spine, 0.09),
        head=(nod + float(rng.normal(0.02, 0.2)), turn + float(rng.normal(0, 0.35)), tilt + float(rng.normal(0, 0.1))),
        wrists=(near(pose.wrists[0], 0.05), near(pose.wrists[1], 0.05)),
        ankles=(near(pose.ankles[0], 0.02), near(pose.ankles[1], 0.02)),
        toes_out=(float(rng.normal(0.2, 0.15)), float(rng.normal(0.2, 0.15))),
        curl=(
            float(np.clip(pose.curl[0] + rng.normal(0, 0.2), 0, 1)),
            float(np.clip(pose.curl[1] + rng.normal(0, 0.2), 0, 1)),
        ),
    )
