"""The naked shape: rings along torso, limbs, head and hands. Profiles are shares of the body height, measured by eye
from common drawing proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse.train.synthetic.body import CHEST_UP, Body, Limb, Skeleton
from rtparse.train.synthetic.mesh import Floats, Rings

# Height above the hips, then half width and half depth (male, female), then how far the middle lies to the front.
TORSO = np.array(
    [
        (-0.062, 0.050, 0.050, 0.040, 0.042, 0.000),
        (-0.035, 0.086, 0.090, 0.062, 0.066, -0.003),
        (0.000, 0.095, 0.102, 0.068, 0.072, -0.006),
        (0.045, 0.091, 0.095, 0.062, 0.064, -0.004),
        (0.090, 0.083, 0.076, 0.056, 0.052, 0.000),
        (0.140, 0.087, 0.076, 0.058, 0.053, 0.003),
        (0.190, 0.095, 0.083, 0.063, 0.060, 0.005),
        (0.230, 0.099, 0.086, 0.062, 0.058, 0.003),
        (0.258, 0.094, 0.084, 0.054, 0.050, -0.001),
        (0.276, 0.083, 0.074, 0.047, 0.043, -0.006),
        (0.290, 0.060, 0.053, 0.040, 0.037, -0.008),
        (0.304, 0.040, 0.034, 0.034, 0.030, -0.006),
    ],
    np.float32,
)
ARM = np.array(
    [
        (-0.1, 0.002),
        (-0.085, 0.013),
        (-0.07, 0.019),
        (-0.03, 0.027),
        (0.05, 0.0305),
        (0.2, 0.0305),
        (0.5, 0.0265),
        (0.85, 0.023),
        (1, 0.0215),
        (1.25, 0.0235),
        (1.7, 0.0175),
        (2.0, 0.0150),
    ],
    np.float32,
)
"""Place along the arm (0 shoulder, 1 elbow, 2 wrist) and radius."""
LEG_RADIUS = np.array(
    [
        (-0.1, 0.04),
        (0, 0.052),
        (0.3, 0.051),
        (0.7, 0.041),
        (1.0, 0.0335),
        (1.25, 0.035),
        (1.6, 0.0265),
        (1.9, 0.02),
        (2.0, 0.0205),
        (2.1, 0.019),
    ],
    np.float32,
)
# Share of the head's height above the chin, half width, half depth, middle to the front.
HEAD = np.array(
    [
        (1.00, 0.004, 0.004, -0.006),
        (0.985, 0.016, 0.020, -0.006),
        (0.95, 0.026, 0.034, -0.005),
        (0.88, 0.035, 0.046, -0.004),
        (0.78, 0.041, 0.053, -0.003),
        (0.66, 0.0435, 0.056, -0.002),
        (0.54, 0.0435, 0.056, 0.000),
        (0.42, 0.0415, 0.052, 0.004),
        (0.30, 0.0380, 0.045, 0.010),
        (0.18, 0.0330, 0.037, 0.017),
        (0.08, 0.0260, 0.029, 0.024),
        (0.02, 0.0170, 0.021, 0.028),
        (0.00, 0.0060, 0.009, 0.030),
    ],
    np.float32,
)
HEAD_HEIGHT, CHIN_UP = 0.130, 0.010
"""Height of the head, and of the chin above the head's pivot, over body height."""


def torso(skeleton: Skeleton, body: Body, heights: NDArray[np.floating]) -> Rings:
    """Rings at heights above the hips (shares of body height), from the neck downwards."""
    mix = np.float32(body.female)
    at, rows = TORSO[:, 0], np.asarray(heights, np.float32)
    width = np.interp(rows, at, TORSO[:, 1] * (1 - mix) + TORSO[:, 2] * mix)
    depth = np.interp(rows, at, TORSO[:, 3] * (1 - mix) + TORSO[:, 4] * mix)
    forward = np.interp(rows, at, TORSO[:, 5])
    fat = body.girth - 1
    belly = np.exp(-(((rows - 0.06) / 0.07) ** 2))
    bust = 0.016 * mix * np.exp(-(((rows - 0.195) / 0.032) ** 2))
    soft = np.clip((0.29 - rows) / 0.06, 0, 1)
    width = width * (1 + soft * fat * (0.55 + 0.5 * belly))
    swell = depth * soft * fat * (0.5 + 0.9 * belly) + bust
    depth, forward = depth + swell * 0.75, forward + swell * 0.3
    size = skeleton.scale
    upper = np.clip((rows - 0.05) / 0.15, 0, 1)[:, None, None]
    axes = skeleton.pelvis * (1 - upper) + skeleton.chest * upper
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    low = skeleton.hips + skeleton.pelvis[:, 1] * (rows * size)[:, None]
    high = skeleton.waist + skeleton.chest[:, 1] * ((rows - CHEST_UP) * size)[:, None]
    # The two straight parts meet in a soft bend.
    bend = np.clip((rows - CHEST_UP + 0.05) / 0.1, 0, 1)[:, None]
    centers = low * (1 - bend) + high * bend + axes[:, :, 2] * (forward * size)[:, None]
    return rings_of(centers, axes[:, :, 0], axes[:, :, 2], width * size, depth * size)


def along(limb: Limb, shares: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Middle (n, 3) and axes (n, 3, 3) at places of a limb: 0 root, 1 joint, 2 end; bent softly around the joint."""
    s = np.asarray(shares, np.float32)[:, None]
    root, joint, end = limb.points
    line = np.where(s < 1, root + (joint - root) * s, joint + (end - joint) * (s - 1))
    t = np.clip((s - 0.82) / 0.36, 0, 1)
    before, after = root + (joint - root) * 0.82, joint + (end - joint) * 0.18
    curve = before * (1 - t) ** 2 + joint * (2 * t * (1 - t)) + after * t**2
    line = np.where((s > 0.82) & (s < 1.18), curve, line)
    turn = np.clip((s - 0.75) / 0.5, 0, 1)[:, :, None]
    axes = limb.upper * (1 - turn) + limb.lower * turn
    return line.astype(np.float32), axes / np.linalg.norm(axes, axis=1, keepdims=True)


def arm(skeleton: Skeleton, body: Body, side: int, shares: NDArray[np.floating]) -> Rings:
    """Rings along an arm; side 0 is the left."""
    radius = (
        np.interp(shares, ARM[:, 0], ARM[:, 1]) * skeleton.scale * (0.93 - 0.12 * body.female + 0.45 * (body.girth - 1))
    )
    centers, axes = along(skeleton.arms[side], shares)
    return rings_of(centers, axes[:, :, 0], axes[:, :, 2], radius, radius * 1.08)


def leg(skeleton: Skeleton, body: Body, side: int, shares: NDArray[np.floating]) -> Rings:
    """Rings along a leg; side 0 is the left. The calf bulges to the back."""
    radius = np.interp(shares, LEG_RADIUS[:, 0], LEG_RADIUS[:, 1]) * skeleton.scale * (1 + 0.5 * (body.girth - 1))
    centers, axes = along(skeleton.legs[side], shares)
    calf = np.exp(-(((np.asarray(shares) - 1.3) / 0.2) ** 2)) * 0.010 * skeleton.scale
    behind = axes[:, :, 2] * calf[:, None]
    return rings_of(centers - behind, axes[:, :, 0], axes[:, :, 2], radius, radius * 1.06)


def both_legs(skeleton: Skeleton, body: Body, shares: NDArray[np.floating]) -> Rings:
    """Rings around both legs, as a skirt's: the mean of the legs, wide enough for both."""
    left, right = leg(skeleton, body, 0, shares), leg(skeleton, body, 1, shares)
    centers = (left.centers + right.centers) / 2
    middle = [along(limb, np.asarray(shares))[1][:, :, 1] for limb in skeleton.legs]
    start = np.clip(np.asarray(shares, np.float32) / 0.4, 0, 1)[:, None]
    up = (middle[0] + middle[1]) * 0.5 * start + skeleton.pelvis[:, 1] * (1 - start)
    up /= np.linalg.norm(up, axis=1, keepdims=True) + 1e-6
    side = skeleton.pelvis[:, 0] - up * (up @ skeleton.pelvis[:, 0])[:, None]
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-6
    front = np.cross(side, up)
    apart = left.centers - right.centers
    radius = left.half_depth
    # Near the top the seat is deeper than the legs.
    seat = np.clip(1 - np.asarray(shares) / 0.6, 0, 1)
    hips = torso(skeleton, body, np.zeros(1))
    centers = centers - front * (seat * 0.006 * skeleton.scale)[:, None]
    # An ellipse around two circles must be deeper than they are.
    width = np.abs((apart * side).sum(1)) / 2 + radius * 1.02
    depth = np.abs((apart * front).sum(1)) / 2 + radius * 1.22
    depth = np.maximum(depth, hips.half_depth[0] * seat)
    return rings_of(centers, side, front, np.maximum.accumulate(width), depth)


def head(skeleton: Skeleton, body: Body, heights: NDArray[np.floating]) -> Rings:
    """Rings of the head at shares of its height (1 crown, 0 chin), from the crown downwards."""
    rows = np.asarray(heights, np.float32)
    profile = HEAD[::-1]
    width, depth, forward = (np.interp(rows, profile[:, 0], profile[:, i]) for i in (1, 2, 3))
    size = skeleton.scale * body.head
    up, front = skeleton.head[:, 1], skeleton.head[:, 2]
    centers = skeleton.skull + up * ((CHIN_UP + rows * HEAD_HEIGHT) * size)[:, None] + front * (forward * size)[:, None]
    n = len(rows)
    jaw = 1 + 0.06 * (1 - body.female) * np.exp(-(((rows - 0.15) / 0.15) ** 2))
    return rings_of(
        centers, np.tile(skeleton.head[:, 0], (n, 1)), np.tile(front, (n, 1)), width * size * jaw, depth * size
    )


def neck(skeleton: Skeleton, body: Body) -> Rings:
    """Rings from under the skull to inside the torso."""
    size = skeleton.scale
    top = skeleton.skull + skeleton.head[:, 1] * (0.03 * size) + skeleton.head[:, 2] * (0.002 * size)
    t = np.linspace(0, 1, 6, dtype=np.float32)[:, None]
    foot = skeleton.neck - skeleton.chest[:, 1] * (0.015 * size) - skeleton.chest[:, 2] * (0.004 * size)
    radius = np.array((0.031, 0.030, 0.030, 0.031, 0.034, 0.040)) * (1 - 0.12 * body.female) * size
    radius *= 1 + 0.5 * (body.girth - 1)
    axes = skeleton.head * (1 - t[:, :, None]) + skeleton.chest * t[:, :, None]
    return rings_of(top * (1 - t) + foot * t, axes[:, :, 0], axes[:, :, 2], radius, radius * 1.05)


def rings_of(
    centers: NDArray[np.floating],
    side: NDArray[np.floating],
    front: NDArray[np.floating],
    width: NDArray[np.floating],
    depth: NDArray[np.floating],
) -> Rings:
    """Rings out of arrays of any precision."""
    return Rings(*(np.asarray(part, np.float32) for part in (centers, side, front, width, depth)))
