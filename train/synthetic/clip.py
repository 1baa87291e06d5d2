"""The example clip: someone walks in, turns to the camera, waves, turns around and walks on.

Its seed, patterns and backdrop belong to it alone (CLIP_SEED, CLIP_PATTERNS, CLIP_BACKDROP), so a network that trained
on rendered scenes has never seen it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError
from rtparse.train.synthetic.backdrop import ground, octaves
from rtparse.train.synthetic.body import Body, Pose, blended
from rtparse.train.synthetic.figure import Person
from rtparse.train.synthetic.material import Color, Material, random_color, tile
from rtparse.train.synthetic.outfit import UPPER, Coat, Hair, Legwear, Outfit, Shoes, Top
from rtparse.train.synthetic.poses import ARM_POSES, walking
from rtparse.train.synthetic.raster import Camera
from rtparse.train.synthetic.render import Light, Scene, render

CLIP_SEED = (0x72747061, 0x636C6970)
"""Entropy of everything random in the clip: two words, "rtpa" and "clip", far above any training seed."""

CLIP_SIZE_HW = (360, 640)
CLIP_FPS = 25
CLIP_LENGTH = 225
"""Frames: nine seconds."""

CAMERA = Camera((0.0, 1.35, 4.6), (0.0, 0.93, 0.0), 0.49)
LIGHT = Light((-0.55, 0.9, 0.75), (0.62, 0.72, 0.78), (0.52, 0.47, 0.44), (0.30, 0.31, 0.32), shadow=0.5)

CLIP_OUTFIT = Outfit(
    skin=Material("plain", ((0.42, 0.55, 0.78),), gloss=0.2, folds=0.05),
    hair=Hair(
        "ponytail", Material("melange", ((0.07, 0.12, 0.24), (0.12, 0.2, 0.38)), 0.25, gloss=0.2, seed=11), 0.014, 0.6
    ),
    top=Top(
        UPPER,
        Material("argyle", ((0.75, 0.85, 0.9), (0.25, 0.3, 0.75), (0.2, 0.2, 0.3)), 0.24, seed=3),
        0.01,
        1.9,
        0.03,
    ),
    legwear=Legwear(
        Material("herringbone", ((0.33, 0.24, 0.16), (0.4, 0.3, 0.2)), 0.08, folds=0.45, seed=5), 0.014, 1.9
    ),
    coat=Coat(
        Material("herringbone", ((0.22, 0.52, 0.68), (0.3, 0.62, 0.78)), 0.14, folds=0.45, seed=9), 0.024, 0.75, 0.5
    ),
    scarf=Material("argyle", ((0.5, 0.45, 0.12), (0.85, 0.85, 0.8), (0.3, 0.25, 0.1)), 0.18, folds=0.8, seed=8),
    shoes=Shoes(Material("herringbone", ((0.9, 0.9, 0.92), (0.8, 0.8, 0.84)), 0.05, seed=2)),
)
BODY = Body(1.7, 0.98, 0.8)

STRIDE = 0.34
CYCLE = 4 * STRIDE * 0.84
"""Metres that two steps cover."""
PACE, RAMP = 1.12, 0.6
"""Metres a second, and seconds to stop or start."""


def clip_frames(frames: Sequence[int] = range(CLIP_LENGTH), outfit: Outfit = CLIP_OUTFIT) -> Iterator[Scene]:
    """Draw frames of the clip, by default all, with exact labels: the truth to compare a parsed clip with.

    outfit: other clothes, such as `recolored(...)`, on the same person. Every call draws the same pictures.
    """
    backdrop = promenade(np.random.default_rng(CLIP_SEED), CLIP_SIZE_HW)
    for index in frames:
        person = clip_person(index / CLIP_FPS, outfit)
        scene = render([person], CAMERA, backdrop, LIGHT)
        noise = np.random.default_rng((*CLIP_SEED, index)).normal(0, 1.2, (*CLIP_SIZE_HW, 1))
        yield replace(scene, image_bgr=np.clip(scene.image_bgr + noise, 0, 255).astype(np.uint8))


def recolored(outfit: Outfit, rng: np.random.Generator) -> Outfit:
    """The same clothes in other colours; skin and hair keep theirs."""

    def dyed(material: Material) -> Material:
        colors: tuple[Color, ...] = tuple(random_color(rng) for _ in material.colors)
        return replace(material, colors=colors)

    worn = {}
    for name in ("top", "legwear", "skirt", "coat", "hat", "socks", "shoes"):
        garment = getattr(outfit, name)
        worn[name] = garment and replace(garment, material=dyed(garment.material))
    for name in ("sunglasses", "scarf", "gloves", "bag"):
        material = getattr(outfit, name)
        worn[name] = material and dyed(material)
    return replace(outfit, **worn)


def clip_person(time: float, outfit: Outfit = CLIP_OUTFIT) -> Person:
    """The person at a time in seconds, 0 to 9."""
    x, speed = _way(time)
    walk = walking(2 * np.pi * x / CYCLE, STRIDE * max(speed, 0.05))
    pose = blended(_standing(time), walk, speed)
    return Person(outfit, BODY, replace(pose, heading=_heading(time)), (x, 0.0))


def _ramp(time: float, start: float, end: float) -> float:
    """0 before start, 1 after end, smooth between."""
    t = min(max((time - start) / (end - start), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _way(time: float) -> tuple[float, float]:
    """Place along x in metres, and speed as a share of walking pace."""
    slow, start = 2.0, 6.8
    u = min(max((time - slow) / RAMP, 0.0), 1.0)
    v = min(max((time - start) / RAMP, 0.0), 1.0)
    # Integrals of the speed, whose ramps are 3 u^2 - 2 u^3.
    arrive = min(time, slow) - slow + RAMP * (u - u**3 + u**4 / 2 - 0.5)
    leave = max(time - start - RAMP, 0.0) + RAMP * (v**3 - v**4 / 2)
    return PACE * (arrive + leave), 1 - _ramp(time, slow, slow + RAMP) + _ramp(time, start, start + RAMP)


def _heading(time: float) -> float:
    """To the right, to the camera, once around, to the right again."""
    right = np.pi / 2
    return float(
        right * (1 - _ramp(time, 2.2, 2.9)) - 2 * np.pi * _ramp(time, 5.0, 6.6) + right * _ramp(time, 6.5, 7.0)
    )


def _standing(time: float) -> Pose:
    """At rest, the right hand waving between 3 and 5 seconds; small steps while turning around."""
    swing = float(np.sin(2 * np.pi * 1.6 * time))
    wrist, elbow, curl, twist = ARM_POSES["wave"]
    raised = _ramp(time, 2.8, 3.2) * (1 - _ramp(time, 4.7, 5.1))
    rest = Pose()
    waving = replace(
        rest,
        spine=(0.0, 0.0, 0.04),
        head=(0.0, 0.0, 0.12),
        wrists=(rest.wrists[0], (-wrist[0] - 0.12 * swing, wrist[1], wrist[2])),
        elbows=(rest.elbows[0], (-elbow[0], elbow[1], elbow[2])),
        curl=(0.4, curl),
        twist=(0.0, twist),
    )
    pose = blended(rest, waving, raised)
    turning = _ramp(time, 5.0, 5.3) * (1 - _ramp(time, 6.5, 6.8))
    return blended(pose, walking(2 * np.pi * 1.1 * time, 0.08), turning)


def promenade(rng: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The clip's backdrop, (H, W, 3) uint8 BGR: sky, town, sea wall, paving."""
    height, width = (2 * n for n in size_hw)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array((0.86, 0.66, 0.45), np.float32) * (1 - rows) + np.array((0.86, 0.88, 0.92), np.float32) * rows * 1.1
    clouds = np.clip((octaves(rng, (height, width)) - 0.5) * 2.2, 0, 0.8)[..., None]
    picture = np.broadcast_to(sky, (height, width, 3)) * (1 - clouds) + 0.97 * clouds
    base = int(0.56 * height)
    left = -20
    while left < width:
        wide, tall = int(rng.uniform(60, 150)), int(rng.uniform(0.12, 0.36) * height)
        wall = np.array((0.62, 0.70, 0.78)) * rng.uniform(0.8, 1.1) + rng.normal(0, 0.04, 3)
        cv2.rectangle(picture, (left, base - tall), (left + wide, base), tuple(wall.tolist()), -1)
        cv2.rectangle(picture, (left, base - tall), (left + wide, base - tall + 8), tuple((wall * 0.75).tolist()), -1)
        for y in range(base - tall + 24, base - 20, 34):
            for x in range(left + 12, left + wide - 16, 28):
                glass = (0.45, 0.38, 0.32) if rng.random() < 0.8 else (0.55, 0.8, 0.9)
                cv2.rectangle(picture, (x, y), (x + 13, y + 19), glass, -1)
        left += wide + int(rng.uniform(-4, 30))
    cv2.rectangle(picture, (0, base - 2), (width, height), (0.30, 0.52, 0.44), -1)
    cv2.rectangle(picture, (0, base + 56), (width, height), (0.58, 0.64, 0.68), -1)
    cv2.rectangle(picture, (0, base + 56), (width, base + 66), (0.72, 0.77, 0.80), -1)
    for _ in range(7):
        x, crown = int(rng.uniform(0, width)), int(rng.uniform(30, 55))
        cv2.rectangle(picture, (x - 4, base - 40), (x + 4, base + 10), (0.18, 0.25, 0.32), -1)
        for _ in range(25):
            at = int(x + rng.normal(0, crown * 0.45)), int(base - 70 + rng.normal(0, crown * 0.4))
            leaf = tuple((np.array((0.22, 0.45, 0.30)) * rng.uniform(0.7, 1.2)).tolist())
            cv2.circle(picture, at, int(crown * rng.uniform(0.2, 0.45)), leaf, -1, cv2.LINE_AA)
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 3.0)
    paving = Material("herringbone", ((0.56, 0.60, 0.64), (0.62, 0.66, 0.70)), seed=21)
    picture = ground(np.asarray(picture, np.float32), tile(paving), CAMERA, 2.5, rng)
    small = cv2.resize(picture, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_AREA)
    return np.clip(small * 255, 0, 255).astype(np.uint8)


def clip_sound(rate: int = 44100) -> NDArray[np.float32]:
    """(N,) float32 -1..1: footsteps as the feet fall, over a quiet chord that says hello during the wave."""
    rng = np.random.default_rng((*CLIP_SEED, CLIP_LENGTH))
    time = np.arange(CLIP_LENGTH * rate // CLIP_FPS) / rate
    hello = np.interp(time, (2.9, 3.2, 4.8, 5.6), (0, 1, 1, 0))
    sound = sum(np.sin(2 * np.pi * f * time) for f in (261.6, 329.6, 392.0)) * (0.01 + 0.03 * hello)
    burst = np.exp(-np.arange(rate // 8) / (0.018 * rate)) * rng.normal(0, 1, rate // 8)
    burst = np.convolve(burst, np.ones(24) / 24, mode="same")
    steps = np.floor([2 * _way(index / CLIP_FPS)[0] / CYCLE for index in range(CLIP_LENGTH)])
    for index in np.flatnonzero(np.diff(steps)):
        start = int(index) * rate // CLIP_FPS
        room = sound[start : start + len(burst)]
        room += 0.9 * burst[: len(room)]
    return np.clip(sound, -1, 1).astype(np.float32)


def write_clip(path: Path) -> None:
    """Encode the clip with its sound: MP4, H.264 yuv420p and AAC. Raises SinkError if the file cannot be written."""
    rate = 44100
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            video = container.add_stream("libx264", rate=CLIP_FPS, options={"crf": "18", "preset": "slow"})
            video.height, video.width = CLIP_SIZE_HW
            video.pix_fmt = "yuv420p"
            audio = container.add_stream("aac", rate=rate, layout="mono")
            audio.bit_rate = 64_000
            for index, scene in enumerate(clip_frames()):
                picture = av.VideoFrame.from_ndarray(scene.image_bgr, format="bgr24")
                picture.pts, picture.time_base = index, Fraction(1, CLIP_FPS)
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
            sound = av.AudioFrame.from_ndarray(clip_sound(rate)[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts = rate, 0
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {path}: {error}", "choose a folder that exists and is writable") from None
