"""A camera and a z-buffer: which triangle each pixel sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.train.synthetic.mesh import Floats, Mesh

NEAR = 0.1
"""Triangles with a corner closer to the camera than this, in metres, are not drawn."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world (metres, y up).

    position: of the eye. target: the point in the middle of the picture. fov: vertical opening, radians.
    roll: turn about the line of sight, radians.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    roll: float = 0.0

    def rotation(self) -> Floats:
        """(3, 3) float32: rows are the camera's right, down and forward in the world."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.array([right * cos + down * sin, down * cos - right * sin, forward], np.float32)

    def focal(self, height: int) -> float:
        """Focal length in pixels for a picture of this height."""
        return float(height / 2 / np.tan(self.fov / 2))

    def project(self, points: Floats, size_hw: tuple[int, int]) -> Floats:
        """(N, 3) world points to (N, 3): column, row (pixel centres are whole numbers) and depth in metres."""
        seen = (points - np.array(self.position, np.float32)) @ self.rotation().T
        depth = seen[:, 2]
        scale = self.focal(size_hw[0]) / np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        column = seen[:, 0] * scale + (size_hw[1] - 1) / 2
        row = seen[:, 1] * scale + (size_hw[0] - 1) / 2
        return np.stack([column, row, depth], 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Hits:
    """The pixels that see something.

    pixel: (P,) flat index; face: (P,) triangle; weights: (P, 3) float32 of its corners, perspective-correct;
    depth: (P,) float32 metres; inside: (P,) bool, whether the triangle's back is seen.
    """

    pixel: NDArray[np.intp]
    face: NDArray[np.intp]
    weights: Floats
    depth: Floats
    inside: NDArray[np.bool_]


def rasterize(mesh: Mesh, camera: Camera, size_hw: tuple[int, int]) -> Hits:
    """Find the nearest triangle of every pixel centre, by the rows each triangle spans."""
    height, width = size_hw
    screen = camera.project(mesh.vertices, size_hw)
    x, y, z = (screen[:, i][mesh.faces] for i in range(3))
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    inside = area > 0
    x_low, x_high, y_low, y_high = _least(x), -_least(-x), _least(y), -_least(-y)
    chosen = (_least(z) > NEAR) & (np.abs(area) > 1e-6) & (mesh.two_sided | ~inside)
    chosen &= (x_high >= 0) & (x_low <= width - 1) & (y_high >= 0) & (y_low <= height - 1)
    face = np.flatnonzero(chosen)
    x, y, inverse = x[face].astype(np.float64), y[face].astype(np.float64), 1 / z[face].astype(np.float64)

    # Function i vanishes on the edge opposite corner i; divided by its value at that corner it is the corner's weight.
    a = np.roll(y, -1, 1) - np.roll(y, -2, 1)
    b = np.roll(x, -2, 1) - np.roll(x, -1, 1)
    c = -(a * np.roll(x, -1, 1) + b * np.roll(y, -1, 1))
    scale = 1 / (a * x + b * y + c)
    a, b, c = a * scale, b * scale, c * scale

    top = np.clip(np.ceil(y_low[face]), 0, height).astype(np.int32)
    bottom = np.clip(np.floor(y_high[face]), -1, height - 1).astype(np.int32)
    rows = np.maximum(bottom - top + 1, 0)
    owner = np.repeat(np.arange(len(face)), rows)
    row = np.arange(len(owner)) - np.repeat(np.cumsum(rows) - rows - top, rows)
    row = row.astype(np.int32)
    slope = a[owner]
    rest = b[owner] * row[:, None] + c[owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -rest / slope
    left = -_least(np.where(slope > 1e-9, -bound, 1.0))
    right = _least(np.where(slope < -1e-9, bound, float(width)))
    first = np.ceil(np.clip(left, 0, width)).astype(np.int32)
    count = np.maximum(np.floor(np.clip(right, -1, width - 1)).astype(np.int32) - first + 1, 0)

    per_face = a * inverse, b * inverse, c * inverse
    slant, drop, base = (p.sum(1) for p in per_face)
    starts = np.cumsum(count) - count
    at = np.arange(int(count.sum()), dtype=np.int32)
    pixel = at + np.repeat((row * width + first - starts).astype(np.int32), count)
    # Along a row, 1 / depth grows by `slant` a pixel from its value where `at` would be 0.
    zero = drop[owner] * row + base[owner] - slant[owner] * (starts - first)
    nearness = (at * np.repeat(slant[owner], count) + np.repeat(zero, count)).astype(np.float32)

    # A stable sort of 16-bit numbers is a radix sort; in far-to-near order the last write of a pixel is the nearest.
    low, high = float(nearness.min(initial=1e9)), float(nearness.max(initial=0))
    order = np.argsort(((nearness - low) * (65535 / max(high - low, 1e-9))).astype(np.uint16), kind="stable")
    nearest = np.full(height * width, -1, np.int32)
    nearest[pixel[order]] = order
    seen = np.flatnonzero(nearest >= 0)
    chosen_at = nearest[seen]
    local = np.repeat(owner.astype(np.int32), count)[chosen_at]
    seen_row, seen_column = seen // width, seen % width
    weights = a[local] * seen_column[:, None] + b[local] * seen_row[:, None] + c[local]
    weights = np.maximum(weights * inverse[local], 0)
    weights /= weights.sum(1, keepdims=True) + 1e-12
    return Hits(
        seen,
        face[local],
        weights.astype(np.float32),
        (1 / nearness[chosen_at]).astype(np.float32),
        inside[face[local]],
    )


def _least(corners: NDArray[np.floating]) -> NDArray[np.floating]:
    """The smallest of three columns; much faster than min(1) on such narrow arrays."""
    return np.asarray(np.minimum(np.minimum(corners[:, 0], corners[:, 1]), corners[:, 2]))
