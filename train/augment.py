"""What a camera and a wardrobe do to a picture: geometry and colour, label-preserving.

Every function draws from the generator it is given, so that a batch is a function of its seed alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import CLASSES, IGNORE_LABEL, class_ids, mirror_labels
from rtparse.train.compose import Pair

GARMENTS = class_ids(
    ("hat", "glove", "upper-clothes", "dress", "coat", "socks", "pants", "jumpsuits", "scarf", "skirt")
) + class_ids(("left-shoe", "right-shoe"))
_SWAP = {"left-shoe": "right-shoe", "right-shoe": "left-shoe"}


def mirror(pair: Pair, rng: np.random.Generator) -> Pair:
    """Mirror every second picture; left and right parts change places."""
    if rng.random() < 0.5:
        return pair
    return Pair(np.ascontiguousarray(pair.image[:, ::-1]), mirror_labels(pair.labels))


def view(pair: Pair, size_hw: tuple[int, int], scale: float, degrees: float, centre: tuple[float, float]) -> Pair:
    """Look at a picture through a window of another size.

    scale: pixels of the window for a pixel of the picture. degrees: counter-clockwise. centre: the (row, column) of the
    picture, in 0..1, that comes to the window's middle. What lies outside the picture is ignored, and is of the middle
    grey of ImageNet.
    """
    image = pair.image
    while scale < 0.6:  # a warp samples; halving first keeps it from skipping pixels
        half_wh = max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1)
        image = np.asarray(cv2.resize(image, half_wh, interpolation=cv2.INTER_AREA), np.uint8)
        scale *= 2
    height, width = image.shape[:2]
    middle = centre[1] * width, centre[0] * height
    matrix = cv2.getRotationMatrix2D(middle, degrees, scale)
    matrix[:, 2] += size_hw[1] / 2 - middle[0], size_hw[0] / 2 - middle[1]
    wh = size_hw[1], size_hw[0]
    # Labels come straight from the picture's own: halved by nearest neighbour they would move against it.
    halved = np.array([width / pair.labels.shape[1], height / pair.labels.shape[0]])
    whole = np.column_stack([matrix[:, :2] * halved, matrix[:, :2] @ (halved - 1) / 2 + matrix[:, 2]])
    return Pair.of(
        cv2.warpAffine(image, matrix, wh, flags=cv2.INTER_LINEAR, borderValue=(104, 116, 124)),
        cv2.warpAffine(pair.labels, whole, wh, flags=cv2.INTER_NEAREST, borderValue=(IGNORE_LABEL,)),
    )


def recolor_garments(pair: Pair, rng: np.random.Generator) -> Pair:
    """Dye the garments of every third picture, so that a class is not a colour. Texture and shading stay."""
    if rng.random() > 0.35:
        return pair
    hsv = cv2.cvtColor(pair.image, cv2.COLOR_BGR2HSV)
    dyed = hsv.copy()
    for label in np.intersect1d(np.unique(pair.labels), GARMENTS):
        partner = CLASSES.index(_SWAP.get(CLASSES[label], CLASSES[label]))
        if partner < label and partner in pair.labels:
            continue  # a pair of shoes has one colour
        mask = (pair.labels == label) | (pair.labels == partner)
        hue = (hsv[:, :, 0][mask].astype(np.int16) + rng.integers(0, 180)) % 180
        saturation = hsv[:, :, 1][mask].astype(np.float32) * rng.uniform(0.3, 1.3) + rng.uniform(0, 90)
        value = hsv[:, :, 2][mask].astype(np.float32) * rng.uniform(0.55, 1.25) + rng.uniform(-10, 30)
        dyed[mask] = np.stack([hue, saturation.clip(0, 255), value.clip(0, 255)], 1).astype(np.uint8)
    return Pair.of(cv2.cvtColor(dyed, cv2.COLOR_HSV2BGR), pair.labels)


def light(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Exposure, gamma, contrast and tint of a picture, now and then a dim room. Returns a new (H, W, 3) uint8 BGR."""
    tones = np.arange(256, dtype=np.float32) / 255
    dim = rng.uniform(0.25, 0.6) if rng.random() < 0.12 else 1.0
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    contrast, shift = rng.uniform(0.75, 1.3), rng.uniform(-0.12, 0.12)
    tint = rng.uniform(0.88, 1.12, 3)
    curve = (tones[:, None] ** gamma * tint - 0.5) * contrast + 0.5 + shift
    lut = (curve.clip(0, 1) * dim * 255).astype(np.uint8).reshape(256, 1, 3)
    out = np.asarray(cv2.LUT(image, lut), np.uint8)
    if rng.random() < 0.15:
        grey = cv2.cvtColor(out, cv2.COLOR_BGR2GRAY)[:, :, None]
        keep = rng.uniform(0, 0.8)
        out = (out * keep + grey * (1 - keep)).astype(np.uint8)
    return out


def camera(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Defocus or motion blur, sensor noise and compression, each on a part of the pictures. (H, W, 3) uint8 BGR."""
    kind = rng.random()
    if kind < 0.12:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4)), np.uint8)
    elif kind < 0.22:
        length = int(rng.integers(3, 9))
        line = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 2 * length)
        middle = (length - 1) / 2
        rows, columns = middle + steps * np.sin(angle), middle + steps * np.cos(angle)
        line[np.rint(rows).astype(int), np.rint(columns).astype(int)] = 1
        image = np.asarray(cv2.filter2D(image, -1, line / line.sum()), np.uint8)
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape).astype(np.float32)
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image
