"""The 20 LIP classes, their colours and their mirror pairs: the one place that names them.

Order as in the Look Into Person dataset (Gong et al., CVPR 2017). Left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError

CLASSES: tuple[str, ...] = (
    "background",
    "hat",
    "hair",
    "glove",
    "sunglasses",
    "upper-clothes",
    "dress",
    "coat",
    "socks",
    "pants",
    "jumpsuits",
    "scarf",
    "skirt",
    "face",
    "left-arm",
    "right-arm",
    "left-leg",
    "right-leg",
    "left-shoe",
    "right-shoe",
)
NUM_CLASSES = len(CLASSES)
IGNORE_LABEL = 255
"""Label of pixels that neither train nor count."""

MIRROR_PAIRS: tuple[tuple[int, int], ...] = ((14, 15), (16, 17), (18, 19))
"""Classes that change places when an image is mirrored."""

PALETTE_RGB: NDArray[np.uint8] = np.array(
    [
        (0, 0, 0),
        (214, 39, 40),
        (125, 72, 30),
        (247, 182, 210),
        (23, 190, 207),
        (31, 119, 240),
        (227, 26, 196),
        (148, 103, 230),
        (188, 189, 34),
        (44, 110, 90),
        (255, 127, 14),
        (255, 222, 60),
        (196, 120, 180),
        (255, 176, 124),
        (120, 220, 80),
        (0, 150, 40),
        (110, 205, 255),
        (0, 90, 170),
        (240, 240, 240),
        (130, 130, 130),
    ],
    dtype=np.uint8,
)
"""(20, 3) uint8 RGB. Background is black and is never drawn over a frame."""

COLORBLIND_RGB: NDArray[np.uint8] = np.array(
    [
        (0, 0, 0),
        (182, 36, 182),
        (182, 255, 36),
        (0, 255, 109),
        (109, 109, 36),
        (182, 109, 255),
        (109, 146, 0),
        (36, 182, 219),
        (109, 219, 0),
        (36, 73, 0),
        (0, 0, 255),
        (73, 0, 73),
        (255, 255, 255),
        (255, 219, 182),
        (219, 36, 109),
        (109, 0, 182),
        (73, 0, 109),
        (109, 36, 73),
        (255, 109, 109),
        (255, 182, 219),
    ],
    dtype=np.uint8,
)
"""(20, 3) uint8 RGB, found by a search for colours that stay apart under protanopia, deuteranopia and tritanopia, most
of all those of classes that touch on a body and of left and right parts."""

PALETTES: Mapping[str, NDArray[np.uint8]] = MappingProxyType({"default": PALETTE_RGB, "colorblind": COLORBLIND_RGB})
"""The colours that a user can choose from, by name."""


def class_ids(names: Iterable[str], classes: tuple[str, ...] = CLASSES) -> tuple[int, ...]:
    """Ids of class names, in the order given. Raises UsageError that names the unknown one and lists `classes`."""
    ids = []
    for name in names:
        if name not in classes:
            raise UsageError(f"there is no class {name!r}", f"choose from: {', '.join(classes)}")
        ids.append(classes.index(name))
    return tuple(ids)


def palette_rgb(name: str, classes: tuple[str, ...] = CLASSES) -> NDArray[np.uint8]:
    """A palette (20, 3) uint8 RGB by name. Raises UsageError for an unknown one, or for other than 20 `classes`."""
    if name not in PALETTES:
        raise UsageError(f"there is no palette {name!r}", f"choose from: {', '.join(PALETTES)}")
    if len(classes) != NUM_CLASSES:
        raise UsageError(
            f"the palette {name} colours {NUM_CLASSES} classes, the model has {len(classes)}",
            "leave the palette out to use the model's own",
        )
    return PALETTES[name]


def mirror_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (H, W) uint8 of the mirrored image: columns reversed, left and right parts exchanged. A new array."""
    lut = np.arange(256, dtype=np.uint8)
    for a, b in MIRROR_PAIRS:
        lut[a], lut[b] = b, a
    return lut[labels[:, ::-1]]
