"""From people and a camera to a picture with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError
from rtparse.train.synthetic.figure import Person, figure
from rtparse.train.synthetic.material import TILE, tile, wrapped_noise
from rtparse.train.synthetic.mesh import Floats, Mesh
from rtparse.train.synthetic.raster import Camera, Hits, rasterize

SUPERSAMPLING = 2
"""Pictures are drawn at this multiple of their size and averaged down; labels take one sample and stay exact."""


@dataclass(frozen=True, eq=False)
class Scene:
    """image_bgr: (H, W, 3) uint8. labels: (H, W) uint8, LIP ids 0..19. Both belong to the caller."""

    image_bgr: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Light:
    """direction: towards the sun or lamp. color, sky, ground: BGR strengths of the lamp and of the ambient light from
    above and below. shadow: strength of the shadow on the ground, 0..1."""

    direction: tuple[float, float, float] = (0.4, 0.8, 0.5)
    color: tuple[float, float, float] = (0.6, 0.6, 0.6)
    sky: tuple[float, float, float] = (0.5, 0.5, 0.5)
    ground: tuple[float, float, float] = (0.3, 0.3, 0.3)
    shadow: float = 0.4


def render(
    people: Sequence[Person],
    camera: Camera,
    background: NDArray[np.uint8],
    light: Light | None = None,
    things: Sequence[Mesh] = (),
) -> Scene:
    """Draw people before a background (H, W, 3) uint8 BGR, which gives the picture its size and is not written to.

    things: more meshes in the same space, such as furniture with label 0; they hide and are hidden by depth.
    Deterministic. Raises UsageError for a background that is not (H, W, 3) uint8.
    """
    if background.ndim != 3 or background.shape[2] != 3 or background.dtype != np.uint8:
        raise UsageError(
            f"the background is {background.dtype} of shape {background.shape}, expected uint8 (H, W, 3) in BGR order"
        )
    height, width = background.shape[:2]
    light = light if light is not None else Light()
    meshes = [figure(person, fingers=_tall(person, camera, height) > 150) for person in people]
    bodies = [*meshes, *things]
    if not bodies:
        return Scene(background.copy(), np.zeros((height, width), np.uint8))
    mesh = Mesh.joined(bodies)
    big_hw = height * SUPERSAMPLING, width * SUPERSAMPLING
    hits = rasterize(mesh, camera, big_hw)
    canvas = cv2.resize(background, big_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)
    canvas *= 1 - light.shadow * _ground_shadow(mesh, camera, light, big_hw)[..., None]
    canvas.reshape(-1, 3)[hits.pixel] = 255 * shade(mesh, hits, light, big_hw)
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    labels = np.zeros(big_hw, np.uint8)
    labels.reshape(-1)[hits.pixel] = mesh.labels[hits.face]
    return Scene(
        np.clip(image + 0.5, 0, 255).astype(np.uint8),
        np.ascontiguousarray(labels[::SUPERSAMPLING, ::SUPERSAMPLING]),
    )


def shade(mesh: Mesh, hits: Hits, light: Light, size_hw: tuple[int, int]) -> Floats:
    """Colours (P, 3) float32 BGR 0..1 of the pixels that see the mesh."""
    corners = mesh.faces[hits.face]
    attributes = np.concatenate([mesh.normals, mesh.uv], 1)
    first, second, third = (attributes[corners[:, i]] * hits.weights[:, i, None] for i in range(3))
    smooth = first + second + third
    normal, uv = smooth[:, :3], smooth[:, 3:]
    normal *= np.where(hits.inside, -1, 1)[:, None] / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)

    materials = mesh.materials
    which = mesh.material[hits.face]
    scale = np.array([m.scale for m in materials], np.float32)[which]
    turn = np.array([m.turn for m in materials], np.float32)
    cos, sin = np.cos(turn)[which], np.sin(turn)[which]
    tiles = np.stack([tile(m) for m in materials])
    s = ((uv[:, 0] * cos + uv[:, 1] * sin) / scale * TILE).astype(np.int32) % TILE
    t = ((uv[:, 1] * cos - uv[:, 0] * sin) / scale * TILE).astype(np.int32) % TILE
    albedo = tiles[which, t, s]

    # Wrinkles: a bump map's slope along and across the cloth, turned into more or less light.
    wrinkle = _wrinkles()
    shift = (np.array([m.seed for m in materials]) % TILE)[which]
    rough = wrinkle[(uv[:, 1] * 220).astype(np.int32) % TILE, ((uv[:, 0] * 300).astype(np.int32) + shift) % TILE]
    strength = np.array([m.folds if m.pattern not in ("face", "beard") else 0.0 for m in materials], np.float32)[which]

    sun = np.array(light.direction, np.float32)
    sun /= np.linalg.norm(sun)
    lit = normal @ sun
    lit = np.clip(lit + 0.17 * strength * rough, -1, 1)
    direct = np.clip((lit + 0.15) / 1.15, 0, 1)
    up = (normal[:, 1] * 0.5 + 0.5)[:, None]
    ambient = np.array(light.sky, np.float32) * up + np.array(light.ground, np.float32) * (1 - up)
    ambient *= (1 + 0.12 * strength * rough)[:, None]
    gloss = np.array([m.gloss for m in materials], np.float32)[which]
    peak = np.clip(lit, 0, 1)
    for _ in range(4):
        peak = peak * peak
    shine = gloss * peak
    occluded = _hollows(hits, size_hw)[:, None]
    color = albedo * (
        ambient * occluded + np.array(light.color, np.float32) * (direct[:, None] * (0.5 + 0.5 * occluded))
    )
    color = color + shine[:, None] * np.array(light.color, np.float32) * 0.6
    color *= np.where(hits.inside, 0.55, 1.0)[:, None]
    return np.asarray(np.clip(color, 0, 1), np.float32)


def _wrinkles() -> Floats:
    rng = np.random.default_rng(7)
    field = wrapped_noise(rng, TILE, 4) + 0.6 * wrapped_noise(rng, TILE, 8) + 0.3 * wrapped_noise(rng, TILE, 16)
    return np.asarray(field / field.std(), np.float32)


def _hollows(hits: Hits, size_hw: tuple[int, int]) -> Floats:
    """Light (P,) 0..1 that reaches each pixel: less where the surroundings are nearer to the camera."""
    far = float(hits.depth.max(initial=1.0)) + 0.1
    depth = np.full(size_hw, far, np.float32)
    depth.reshape(-1)[hits.pixel] = hits.depth
    light = np.ones(len(hits.pixel), np.float32)
    for share, reach in ((0.012, 0.03), (0.04, 0.12)):
        size = max(3, int(size_hw[0] * share)) | 1
        nearer = hits.depth - cv2.blur(depth, (size, size)).reshape(-1)[hits.pixel]
        light *= 1 - 0.4 * np.clip(nearer / reach, 0, 1)
    return light


def _ground_shadow(mesh: Mesh, camera: Camera, light: Light, size_hw: tuple[int, int]) -> Floats:
    """(H, W) float32 0..1: corners and middles of all triangles thrown onto the ground along the light, and blurred."""
    quarter = size_hw[0] // 4, size_hw[1] // 4
    sun = np.array(light.direction, np.float32)
    sun /= np.linalg.norm(sun)
    steep = max(float(sun[1]), 0.35)
    points = np.concatenate([mesh.vertices, mesh.vertices[mesh.faces].mean(1)])
    fallen = points - sun * (points[:, 1:2] / steep)
    seen = camera.project(fallen.astype(np.float32), quarter)
    column, row = seen[:, 0].astype(np.int32), seen[:, 1].astype(np.int32)
    inside = (seen[:, 2] > 0.1) & (column >= 0) & (column < quarter[1]) & (row >= 0) & (row < quarter[0])
    dark = np.zeros(quarter, np.float32)
    dark[row[inside], column[inside]] = 1
    soft = cv2.blur(cv2.dilate(dark, np.ones((3, 3), np.uint8)), (5, 5))
    return np.asarray(cv2.resize(soft, size_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _tall(person: Person, camera: Camera, height: int) -> float:
    """About how many pixels high a person appears."""
    x, z = person.place
    away = float(np.linalg.norm(np.subtract(camera.position, (x, person.body.height / 2, z))))
    return person.body.height / max(away, 0.3) * camera.focal(height)
