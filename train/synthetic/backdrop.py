"""What is behind people: procedural pictures, and things that look a little like limbs but are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.train.synthetic.material import Material, random_color, random_material, random_skin, tile
from rtparse.train.synthetic.mesh import Mesh, Rings, loft
from rtparse.train.synthetic.raster import Camera

BACKDROPS = ("gradient", "noise", "room", "blocks", "blobs", "bars", "field")
"""Kinds that the training sampler draws."""

CLIP_BACKDROP = "promenade"
"""The kind kept for the example clip: never drawn for training."""


def random_backdrop(rng: np.random.Generator, size_hw: tuple[int, int], camera: Camera) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR."""
    kind = str(rng.choice(BACKDROPS, p=(0.08, 0.12, 0.32, 0.14, 0.1, 0.08, 0.16)))
    picture = _paint(kind, rng, size_hw, camera)
    if rng.random() < 0.4:
        cv2.GaussianBlur(picture, (0, 0), float(np.exp(rng.uniform(-0.5, 1.8))), dst=picture)
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


def _paint(kind: str, rng: np.random.Generator, size_hw: tuple[int, int], camera: Camera) -> NDArray[np.float32]:
    height, width = size_hw
    first, second = (np.array(random_color(rng), np.float32) for _ in range(2))
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    base = np.broadcast_to(first * (1 - y) + second * y, (height, width, 3)).copy()
    if kind == "noise":
        return np.asarray(base * (0.6 + 0.8 * octaves(rng, size_hw)[..., None]), np.float32)
    if kind in ("room", "field"):
        wall = random_material(rng) if kind == "room" or rng.random() < 0.5 else Material("plain", (random_color(rng),))
        stretch = float(rng.uniform(0.4, 3))
        rows = (np.arange(height) * stretch).astype(int) % 128
        columns = (np.arange(width) * stretch).astype(int) % 128
        picture = tile(wall)[rows[:, None], columns[None, :]] * (0.75 + 0.5 * octaves(rng, size_hw)[..., None])
        picture = _clutter(picture, rng, int(rng.integers(0, 9)))
        return ground(picture.astype(np.float32), tile(random_material(rng)), camera, float(rng.uniform(0.5, 4)), rng)
    if kind == "blocks":
        return _clutter(base, rng, int(rng.integers(10, 50)))
    if kind == "blobs":
        for _ in range(int(rng.integers(5, 40))):
            at = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(base, at, int(rng.uniform(0.02, 0.25) * height), random_color(rng), -1)
        return np.asarray(cv2.GaussianBlur(base, (0, 0), float(rng.uniform(1, 12))), np.float32)
    if kind == "bars":
        for _ in range(int(rng.integers(3, 25))):
            ends = [(int(rng.uniform(-0.2, 1.2) * width), int(rng.uniform(-0.2, 1.2) * height)) for _ in range(2)]
            color = random_skin(rng).colors[0] if rng.random() < 0.3 else random_color(rng)
            cv2.line(base, ends[0], ends[1], color, int(rng.uniform(0.01, 0.09) * height) + 1, cv2.LINE_AA)
        return np.asarray(base * (0.7 + 0.6 * octaves(rng, size_hw)[..., None]), np.float32)
    return base


def _clutter(picture: NDArray[np.float32], rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Boxes, with texture or without: windows, doors, shelves, posters."""
    height, width = picture.shape[:2]
    for _ in range(count):
        h, w = int(rng.uniform(0.05, 0.6) * height) + 2, int(rng.uniform(0.03, 0.4) * width) + 2
        top, left = int(rng.integers(-h // 2, height)), int(rng.integers(-w // 2, width))
        box = picture[max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)]
        if box.size == 0:
            continue
        pattern = tile(random_material(rng))
        rows, columns = np.arange(box.shape[0]) % 128, np.arange(box.shape[1]) % 128
        box[:] = (
            pattern[rows[:, None], columns[None, :]] * np.linspace(1, rng.uniform(0.5, 1), box.shape[0])[:, None, None]
        )
    return picture


def ground(
    picture: NDArray[np.float32], pattern: NDArray[np.float32], camera: Camera, metres: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Lay a pattern (128, 128, 3) on the ground in perspective, one tile per `metres`, up to a wall behind people."""
    height, width = picture.shape[:2]
    end = camera.position[2] - float(rng.uniform(6, 14))
    near = camera.position[2] - 0.6
    x0 = camera.position[0]
    corners = np.array([(x0 - 9, 0, end), (x0 + 9, 0, end), (x0 + 9, 0, near), (x0 - 9, 0, near)], np.float32)
    seen = camera.project(corners, (height, width))
    if (seen[:, 2] < 0.05).any():
        return picture
    repeats = max(int(18 / metres), 1)
    side = 512
    rows = (np.arange(side) * (repeats * 128 * (near - end) / 18 / side)).astype(int) % 128
    columns = (np.arange(side) * (repeats * 128 / side)).astype(int) % 128
    plane = pattern[rows[:, None], columns[None, :]]
    flat = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    to_picture = cv2.getPerspectiveTransform(flat, np.ascontiguousarray(seen[:, :2]))
    laid = cv2.warpPerspective(plane, to_picture, (width, height), flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(np.ones((side, side), np.float32), to_picture, (width, height))[..., None]
    return np.asarray(picture * (1 - mask) + laid * mask, np.float32)


def octaves(rng: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) float32 cloudy noise, about 0..1."""
    total = np.zeros(size_hw, np.float32)
    for cells, weight in ((2, 0.5), (5, 0.3), (13, 0.15), (40, 0.1)):
        coarse = rng.random((cells, cells), np.float32) - 0.5
        total += weight * cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return total + 0.5


def random_things(rng: np.random.Generator, count: int, camera: Camera) -> list[Mesh]:
    """Poles, columns, balls and boxes around the middle of the scene, all with label 0; some as thick and coloured as
    arms, so that a skin-coloured tube alone is no person."""
    things = []
    for _ in range(count):
        material = random_skin(rng) if rng.random() < 0.25 else random_material(rng)
        at = np.array((rng.normal(0, 1.3), 0, rng.uniform(-3, 0.4 * camera.position[2])))
        kind = rng.choice(("pole", "ball", "box", "vase"))
        steps = np.linspace(0, 1, 17)
        axis = rng.normal(0, 0.25, 3) + np.array((0, -1, 0))
        axis /= np.linalg.norm(axis)
        length = float(rng.uniform(0.3, 2.2))
        radius = float(rng.uniform(0.02, 0.09))
        profile = np.ones(17) * radius
        if kind == "ball":
            profile = np.sin(np.linspace(0.05, np.pi - 0.05, 17)) * length * 0.2
            length *= 0.4
            steps = (1 - np.cos(np.linspace(0, np.pi, 17))) / 2
        elif kind == "box":
            profile = np.array((0.01, *[1] * 15, 0.01)) * radius * 5
        elif kind == "vase":
            profile = (1 + 0.6 * np.sin(steps * rng.uniform(2, 9) + rng.uniform(0, 6))) * radius * 1.5
        top = at + np.array((0, rng.uniform(0.4, 2.2), 0))
        side = np.cross(axis, (0.3, 0.1, 1.0))
        side /= np.linalg.norm(side)
        front = np.cross(axis, side)
        rings = Rings(
            (top + axis * (steps * length)[:, None]).astype(np.float32),
            np.tile(side, (17, 1)).astype(np.float32),
            np.tile(front, (17, 1)).astype(np.float32),
            profile.astype(np.float32),
            profile.astype(np.float32),
        )
        things.append(loft(rings, material, 0, columns=4 if kind == "box" else 14))
    return things
