"""Hands and feet."""

from __future__ import annotations

import numpy as np

from rtparse.train.synthetic.anatomy import rings_of
from rtparse.train.synthetic.body import ANKLE, Skeleton
from rtparse.train.synthetic.mesh import Floats, Rings


def foot(skeleton: Skeleton, side: int) -> Rings:
    """Rings from heel to toes."""
    size = skeleton.scale
    axes = skeleton.feet[side]
    reach = np.array((-0.043, -0.042, -0.036, -0.02, 0.005, 0.035, 0.065, 0.090, 0.104, 0.110, 0.111)) * size
    width = np.array((-0.007, 0.006, 0.015, 0.019, 0.020, 0.024, 0.028, 0.026, 0.017, 0.006, -0.007)) * size
    height = np.array((-0.007, 0.010, 0.020, 0.028, 0.030, 0.024, 0.017, 0.013, 0.010, 0.006, -0.007)) * size
    sole = skeleton.legs[side].points[2] - axes[:, 1] * (ANKLE * size)
    centers = sole + axes[:, 2] * reach[:, None] + axes[:, 1] * np.maximum(height, 0.006 * size)[:, None]
    n = len(reach)
    return rings_of(centers, np.tile(axes[:, 0], (n, 1)), np.tile(axes[:, 1], (n, 1)), width, height)


def hand(skeleton: Skeleton, side: int, curl: float, twist: float, *, fingers: bool) -> list[Rings]:
    """Palm, thumb and fingers, or a mitten when `fingers` is False (enough for small people)."""
    size = skeleton.scale
    wrist, axes = skeleton.arms[side].points[2], skeleton.arms[side].lower
    inward = -1.0 if side == 0 else 1.0
    cos, sin = np.cos(twist), np.sin(twist) * -inward
    palm = (axes[:, 0] * cos + axes[:, 2] * sin) * inward
    thumb = axes[:, 2] * cos - axes[:, 0] * sin
    out = -axes[:, 1]

    def tube(start: Floats, direction: Floats, length: float, bend: float, width: float, thick: float) -> Rings:
        """Three joints that bend towards the palm."""
        turns = np.linspace(0, 1, 5)
        steps = np.stack([direction * np.cos(bend * t) + palm * np.sin(bend * t) for t in turns])
        centers = start + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)]) * (length / 5)
        taper = np.array((0.9, 1.05, 1.0, 0.95, 0.8, 0.25))
        across = np.cross(direction, palm)
        across /= np.linalg.norm(across) + 1e-9
        n = len(centers)
        flat = np.cross(steps[[0, 0, 1, 2, 3, 4]], across)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
        return rings_of(centers, -flat, np.tile(across, (n, 1)), thick * taper, width * taper)

    base = wrist + out * (0.004 * size)
    reach = np.array((-0.006, 0.004, 0.02, 0.036, 0.050, 0.056)) * size
    palm_rings = rings_of(
        base + out * reach[:, None],
        np.tile(palm * inward, (6, 1)),
        np.tile(thumb, (6, 1)),
        np.array((0.0125, 0.0125, 0.013, 0.012, 0.010, 0.006)) * size,
        np.array((0.0155, 0.0165, 0.023, 0.025, 0.024, 0.018)) * size,
    )
    parts = [palm_rings]
    knuckles = wrist + out * (0.052 * size)
    if fingers:
        for place, length in ((0.018, 0.045), (0.006, 0.051), (-0.006, 0.047), (-0.018, 0.037)):
            spread = out + thumb * (place * (8 - 6 * curl))
            parts.append(
                tube(knuckles + thumb * (place * size), spread, length * size, curl * 4, 0.0058 * size, 0.0058 * size)
            )
    else:
        parts.append(tube(knuckles, out, 0.046 * size, curl * 4, 0.022 * size, 0.008 * size))
    parts.append(
        tube(
            base + out * (0.012 * size) + thumb * (0.018 * size),
            out * 0.75 + thumb * 0.6,
            0.045 * size,
            curl,
            0.007 * size,
            0.007 * size,
        )
    )
    return parts
