"""Triangle meshes made of lofts: closed or open rings strung along a line. Every part of a person is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtparse.train.synthetic.material import Material

Floats = NDArray[np.float32]

FULL_TURN = (0.0, 2 * np.pi)


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in metres.

    vertices, normals: (V, 3) float32. uv: (V, 2) float32, metres along the cloth. faces: (T, 3) int32, counter-
    clockwise seen from outside. labels: (T,) uint8. material: (T,) int32, index into `materials`. two_sided: (T,)
    bool, whether the inside is visible too.
    """

    vertices: Floats
    normals: Floats
    uv: Floats
    faces: NDArray[np.int32]
    labels: NDArray[np.uint8]
    material: NDArray[np.int32]
    two_sided: NDArray[np.bool_]
    materials: tuple[Material, ...]

    @classmethod
    def joined(cls, meshes: Sequence[Mesh]) -> Mesh:
        """All triangles of several meshes as one."""
        first_vertex = accumulate((len(m.vertices) for m in meshes), initial=0)
        index = {material: i for i, material in enumerate(dict.fromkeys(n for m in meshes for n in m.materials))}
        own = [np.array([index[material] for material in m.materials], np.int32) for m in meshes]
        return cls(
            np.concatenate([m.vertices for m in meshes]),
            np.concatenate([m.normals for m in meshes]),
            np.concatenate([m.uv for m in meshes]),
            np.concatenate([m.faces + n for m, n in zip(meshes, first_vertex, strict=False)]),
            np.concatenate([m.labels for m in meshes]),
            np.concatenate([n[m.material] for m, n in zip(meshes, own, strict=True)]),
            np.concatenate([m.two_sided for m in meshes]),
            tuple(index),
        )


@dataclass(frozen=True, eq=False)
class Rings:
    """Ellipses along a line: centers, side and front axes (n, 3), half widths and depths (n,), all in metres.

    Angle 0 of an ellipse points along `side` (the person's left), a quarter turn along `front`.
    """

    centers: Floats
    side: Floats
    front: Floats
    half_width: Floats
    half_depth: Floats

    def grown(self, by: float | Floats) -> Rings:
        """The same line with every half axis longer by some metres: cloth over a body."""
        width, depth = np.maximum(self.half_width + by, 1e-4), np.maximum(self.half_depth + by, 1e-4)
        return Rings(self.centers, self.side, self.front, width.astype(np.float32), depth.astype(np.float32))

    @classmethod
    def through(cls, stack: Sequence[Floats], radii: Sequence[float], size: float, side: Floats, front: Floats) -> Self:
        """Circles of given radii (shares of `size`) through a stack of points that runs downwards."""
        n = len(stack)
        radius = (np.array(radii) * size).astype(np.float32)
        return cls(np.array(stack, np.float32), np.tile(side, (n, 1)), np.tile(front, (n, 1)), radius, radius)


def loft(
    rings: Rings,
    material: Material,
    label: int | NDArray[np.uint8],
    *,
    columns: int = 16,
    arc: tuple[float | Floats, float | Floats] = FULL_TURN,
    keep: NDArray[np.bool_] | None = None,
    bump: Floats | None = None,
    two_sided: bool = False,
) -> Mesh:
    """Skin over rings.

    label: one for all, or (n - 1, columns) for every quad. arc: the angles covered; an end may be (n,), one per ring.
    keep: (n - 1, columns), the quads that exist. bump: (n, columns + 1) factors on the radius. The line must run
    downwards, or away from the body's middle, for the outside to be the front of the faces.
    """
    rows = len(rings.centers)
    first, last = (np.broadcast_to(np.asarray(end, np.float32), rows)[:, None] for end in arc)
    angle = first + (last - first) * np.linspace(0, 1, columns + 1, dtype=np.float32)
    cos = np.cos(angle) * rings.half_width[:, None]
    sin = np.sin(angle) * rings.half_depth[:, None]
    if bump is not None:
        cos, sin = cos * bump, sin * bump
    grid = rings.centers[:, None] + cos[..., None] * rings.side[:, None] + sin[..., None] * rings.front[:, None]

    closed = arc is FULL_TURN
    along = np.empty_like(grid)
    along[1:-1] = grid[2:] - grid[:-2]
    along[0], along[-1] = grid[1] - grid[0], grid[-1] - grid[-2]
    around = np.empty_like(grid)
    around[:, 1:-1] = grid[:, 2:] - grid[:, :-2]
    if closed:
        around[:, 0] = around[:, -1] = grid[:, 1] - grid[:, -2]
    else:
        around[:, 0], around[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    normals = _cross(around, along)
    normals /= np.sqrt((normals * normals).sum(-1, keepdims=True)) + 1e-12

    uv = np.empty((rows, columns + 1, 2), np.float32)
    radius = float((rings.half_width.mean() + rings.half_depth.mean()) / 2)
    uv[..., 0] = angle * radius
    steps = rings.centers[1:] - rings.centers[:-1]
    uv[1:, :, 1] = np.cumsum(np.sqrt((steps * steps).sum(-1)))[:, None]
    uv[0, :, 1] = 0

    index = np.arange(rows * (columns + 1), dtype=np.int32).reshape(rows, columns + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)
    quad_labels = np.broadcast_to(np.asarray(label, np.uint8), (rows - 1, columns))
    if keep is None:
        faces, quad_labels = faces.reshape(-1, 3), quad_labels.reshape(-1)
    else:
        faces, quad_labels = faces[keep].reshape(-1, 3), quad_labels[keep]
    count = len(faces)
    return Mesh(
        grid.reshape(-1, 3).astype(np.float32, copy=False),
        normals.reshape(-1, 3).astype(np.float32, copy=False),
        uv.reshape(-1, 2),
        faces,
        np.repeat(quad_labels, 2),
        np.zeros(count, np.int32),
        np.full(count, two_sided),
        (material,),
    )


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross product over the last axis; np.cross is several times slower on small grids."""
    out = np.empty_like(a)
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out
