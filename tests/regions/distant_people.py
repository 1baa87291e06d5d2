"""Videos of people who are 5 to 20 % of the frame high and move, with exact labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtparse.train.compose import Pair, cover, cut_out, paste, remove_person, scaled
from rtparse.train.synthetic import Camera, Person, render
from rtparse.train.synthetic.backdrop import random_backdrop
from rtparse.train.synthetic.outfit import random_outfit
from rtparse.train.synthetic.poses import random_body, walking
from rtparse.train.synthetic.scene import random_light

SIZE_HW = (720, 1280)
FPS = 25
LEAST, MOST = 0.05, 0.2
"""Heights of people, of the frame's."""

PEOPLE = 3
STRIDE = 0.34


def rendered(seed: int, frames: int) -> Iterator[Pair]:
    """Walkers of the renderer before a painted backdrop, seen from eye level."""
    rng = np.random.default_rng((0x64697374, seed))
    camera = Camera((0.0, 1.6, 0.0), (0.0, 1.0, -30.0), 0.6)
    backdrop = random_backdrop(rng, SIZE_HW, camera)
    light = random_light(rng)
    focal = camera.focal(SIZE_HW[0])
    walkers = []
    for tall in _heights(rng):
        body = random_body(rng)
        away = body.height * focal / tall
        side = float(rng.uniform(-0.35, 0.35)) * SIZE_HW[1] * away / focal
        walkers.append(
            (Person(random_outfit(rng), body, place=(side, -away)), rng.choice((-1, 1)) * 1.2, rng.uniform(0, 6))
        )
    for index in range(frames):
        time = index / FPS
        people = []
        for person, speed, phase in walkers:
            pose = walking(phase + 2 * np.pi * 1.2 * time / (4 * STRIDE * 0.84), STRIDE)
            place = (person.place[0] + speed * time, person.place[1])
            people.append(replace(person, pose=replace(pose, heading=np.sign(speed) * np.pi / 2), place=place))
        scene = render(people, camera, backdrop, light)
        yield Pair(scene.image_bgr, scene.labels)


@dataclass(frozen=True)
class _Cutout:
    person: Pair
    left: float
    top: int
    speed: float


def composed(photos: Sequence[Pair], seed: int, frames: int) -> Iterator[Pair]:
    """People cut out of photos, who glide before another photo whose person is painted over."""
    rng = np.random.default_rng((0x64697374, seed))
    chosen = rng.permutation(len(photos))[: PEOPLE + 1]
    backdrop = cover(remove_person(photos[chosen[0]]), SIZE_HW, (0.5, 0.5))
    cutouts = []
    for index, tall in zip(chosen[1:], sorted(_heights(rng)), strict=True):
        person = scaled(cut_out(photos[index]), round(tall))
        top = int(rng.integers(SIZE_HW[0] // 4, SIZE_HW[0] - round(tall)))
        cutouts.append(
            _Cutout(person, float(rng.uniform(0.15, 0.8)) * SIZE_HW[1], top, rng.choice((-1, 1)) * 0.02 * tall)
        )
    for index in range(frames):
        scene = Pair(backdrop.copy(), np.zeros(SIZE_HW, np.uint8))
        for each in cutouts:  # from far to near
            paste(scene, each.person, each.top, round(each.left + each.speed * index))
        yield scene


def _heights(rng: np.random.Generator) -> list[float]:
    """In pixels, log-uniform."""
    return [float(tall) for tall in SIZE_HW[0] * np.exp(rng.uniform(np.log(LEAST), np.log(MOST), PEOPLE))]
