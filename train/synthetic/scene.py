"""A random scene for training: people, camera, light and surroundings drawn from one generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.train.synthetic.anatomy import rings_of
from rtparse.train.synthetic.backdrop import random_backdrop, random_things
from rtparse.train.synthetic.body import LEG, skeleton, turned
from rtparse.train.synthetic.figure import Person
from rtparse.train.synthetic.material import random_material
from rtparse.train.synthetic.mesh import Mesh, loft
from rtparse.train.synthetic.outfit import random_outfit
from rtparse.train.synthetic.poses import random_body, random_pose, upright_pose
from rtparse.train.synthetic.raster import Camera
from rtparse.train.synthetic.render import Light, Scene, render

FRAMINGS = ("full", "waist", "small", "cut", "across")
"""Parts of a person that fill the frame; "across" is someone who passes by or stands, seen whole from any side."""


def render_scene(
    rng: np.random.Generator, size_hw: tuple[int, int], background: NDArray[np.uint8] | None = None
) -> Scene:
    """Draw a random scene of 0 to 4 people at a size in pixels.

    background: a photo without people, (h, w, 3) uint8 BGR, scaled to the size; None paints one. The result depends on
    the generator's state and the arguments alone. Thread-safe with one generator a thread.
    """
    height, width = size_hw
    framing = str(rng.choice(FRAMINGS, p=(0.22, 0.22, 0.12, 0.12, 0.32)))
    count = int(rng.choice(5, p=(0.04, 0.56, 0.22, 0.12, 0.06)))
    people = [passer_by(rng) if framing == "across" else random_person(rng) for _ in range(count)]
    camera = random_camera(rng, framing, people[0].body.height if people else 1.7, width / height)
    people = _placed(people, rng, camera, framing, width / height)
    if background is None:
        behind = random_backdrop(rng, size_hw, camera)
    else:
        shrink = background.shape[0] > height
        how = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
        behind = np.asarray(cv2.resize(background, (width, height), interpolation=how), np.uint8)
    things = random_things(rng, int(rng.poisson(1.2 if people else 3)), camera)
    things += [seat for person in people if rng.random() < 0.7 for seat in seats(person, rng)]
    scene = render(people, camera, behind, random_light(rng), things)
    return replace(scene, image_bgr=_sensor(scene.image_bgr, rng))


def random_person(rng: np.random.Generator) -> Person:
    """Someone who more often faces the camera (+z) than not."""
    heading = float(rng.normal(0, 0.5)) if rng.random() < 0.5 else float(rng.uniform(-np.pi, np.pi))
    return Person(random_outfit(rng), random_body(rng), replace(random_pose(rng), heading=heading))


def passer_by(rng: np.random.Generator) -> Person:
    """Someone who walks or stands upright, as often from the side or from behind as from the front."""
    heading = float(rng.choice((0.0, np.pi / 2, -np.pi / 2, np.pi), p=(0.3, 0.25, 0.25, 0.2)) + rng.normal(0, 0.3))
    return Person(random_outfit(rng), random_body(rng), replace(upright_pose(rng), heading=heading))


def random_camera(rng: np.random.Generator, framing: str, tall: float, aspect: float) -> Camera:
    """A camera on the +z side that frames someone of a height who stands at the origin."""
    if framing == "full":
        view, middle = tall / rng.uniform(0.6, 0.99), tall * rng.uniform(0.46, 0.54)
        away = rng.uniform(2.2, 8)
    elif framing == "waist":
        view = tall * rng.uniform(0.3, 0.62)
        middle = tall * 0.97 - view * rng.uniform(0.3, 0.5)
        away = rng.uniform(0.8, 2.4)
    elif framing == "across":
        view, middle = tall / rng.uniform(0.55, 0.92), tall * rng.uniform(0.42, 0.58)
        away = rng.uniform(3, 9)
    elif framing == "small":
        view, middle = tall / rng.uniform(0.14, 0.55), tall * rng.uniform(0.3, 0.8)
        away = rng.uniform(5, 16)
    else:
        view, middle = tall / rng.uniform(1.0, 1.8), tall * rng.uniform(0.15, 0.85)
        away = rng.uniform(1.8, 5)
    up = float(np.clip(rng.normal(1.5, 0.5), 0.2, 3.5)) if framing != "waist" else tall * float(rng.uniform(0.7, 1.05))
    drift = view * aspect * float(np.clip(rng.normal(0, 0.16), -0.42, 0.42))
    eye = (float(rng.normal(0, 0.15)), up, float(away))
    distance = float(np.hypot(away, up - middle))
    return Camera(
        eye, (drift, float(middle), 0.0), 2 * float(np.arctan(view / 2 / distance)), roll=float(rng.normal(0, 0.04))
    )


def random_light(rng: np.random.Generator) -> Light:
    """From a dull day to a hard lamp, warm or cold."""
    level = float(np.exp(rng.normal(0.12, 0.25)))
    direct = float(rng.uniform(0.1, 0.85))
    tint = np.exp(np.array((-1.0, 0.0, 1.0)) * rng.normal(0, 0.12))
    other = np.exp(np.array((-1.0, 0.0, 1.0)) * rng.normal(0, 0.1))

    def strength(by: float, color: NDArray[np.floating]) -> tuple[float, float, float]:
        b, g, r = color * by
        return float(b), float(g), float(r)

    angle = float(rng.normal(0, 1.0))
    return Light(
        (float(np.sin(angle)), float(rng.uniform(0.2, 1.5)), float(np.cos(angle))),
        strength(level * direct, tint),
        strength(level * (1.05 - direct), other),
        strength(level * (0.75 - 0.7 * direct), other),
        shadow=float(rng.uniform(0, 0.65)),
    )


def seats(person: Person, rng: np.random.Generator) -> list[Mesh]:
    """A stool or chair, label 0, under someone whose thighs lie level; nothing for others."""
    bones = skeleton(person.body, person.pose, person.place)
    if any(abs(float(limb.points[1, 1] - limb.points[0, 1])) > 0.45 * LEG * bones.scale for limb in bones.legs):
        return []
    size = bones.scale
    world = turned(0, person.pose.heading, 0)
    material = random_material(rng)
    wide, deep = rng.uniform(0.14, 0.26) * size, rng.uniform(0.14, 0.2) * size
    leg = rng.uniform(0.3, 0.95)
    top = float(bones.hips[1]) - 0.085 * size
    # Of each box: how far before the hips, half width and depth, height of its top and bottom.
    boxes = [(0.05, wide, deep, top, top - 0.03), (0.05, wide * leg, deep * leg, top - 0.02, 0.0)]
    if rng.random() < 0.5:
        boxes.append((-0.09, wide, 0.015, top + 0.3 * size, top))
    meshes = []
    for ahead, width, depth, upper, lower in boxes:
        levels = np.array((upper, upper, lower, lower))
        middle = np.repeat((bones.hips + world[:, 2] * (ahead * size))[None], 4, 0)
        middle[:, 1] = levels
        shape = np.array((0.01, 1, 1, 0.01))
        sides, fronts = (np.repeat(world[None, :, axis], 4, 0) for axis in (0, 2))
        rings = rings_of(middle, sides, fronts, width * shape, depth * shape)
        # Four columns from an eighth of a turn on make a box square to the sitter.
        meshes.append(loft(rings, material, 0, columns=4, arc=(np.pi / 4, np.pi * 9 / 4)))
    return meshes


def _placed(
    people: list[Person], rng: np.random.Generator, camera: Camera, framing: str, aspect: float
) -> list[Person]:
    """The first stays at the origin; the others stand beside, before or behind."""
    placed = people[:1]
    view = 2 * camera.position[2] * float(np.tan(camera.fov / 2)) * aspect
    for person in people[1:]:
        z = float(rng.uniform(-2.5, 0.25 * camera.position[2]))
        if framing == "waist":
            z = float(rng.uniform(-1.2, 0.15))
        spread = max(view, 0.7) * (1 - z / camera.position[2])
        placed.append(replace(person, place=(float(rng.uniform(-0.55, 0.55)) * spread, z)))
    return placed


def _sensor(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Slight defocus, a tone curve and noise."""
    picture = image.astype(np.float32)
    if rng.random() < 0.35:
        cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.1)), dst=picture)
    toned = 255 * (picture / 255) ** np.float32(np.exp(rng.normal(-0.3, 0.22)))
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.gamma(1.5, 2.0))
    return np.clip(toned + noise, 0, 255).astype(np.uint8)
