"""Labelled pictures on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import IGNORE_LABEL, NUM_CLASSES
from rtparse.errors import SourceError, UsageError
from rtparse.train.compose import Pair

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


def pair_paths(folder: Path) -> list[tuple[Path, Path]]:
    """(image, label) paths of a folder with images/ and labels/, sorted by file name.

    A label is the 8-bit PNG of the same stem. Raises UsageError for a folder without pairs or a picture without one.
    """
    images = sorted(path for path in (folder / "images").glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not images:
        raise UsageError(f"no pictures in {folder / 'images'}", "expected images/*.jpg and labels/*.png in the folder")
    pairs = [(image, folder / "labels" / f"{image.stem}.png") for image in images]
    for image, label in pairs:
        if not label.exists():
            raise UsageError(f"{image} has no label", f"expected {label}")
    return pairs


def read_pair(image_path: Path, label_path: Path) -> Pair:
    """Read one pair. Raises SourceError naming the file that is unreadable, mis-sized or holds other ids."""
    image = _read(image_path, cv2.IMREAD_COLOR)
    labels = _read(label_path, cv2.IMREAD_GRAYSCALE)
    if image.shape[:2] != labels.shape:
        raise SourceError(f"{label_path} is {labels.shape}, its picture is {image.shape[:2]} (height, width)")
    unknown = np.setdiff1d(labels, [*range(NUM_CLASSES), IGNORE_LABEL])
    if unknown.size:
        raise SourceError(
            f"{label_path} holds the ids {unknown.tolist()}, expected 0..{NUM_CLASSES - 1} or {IGNORE_LABEL}"
        )
    return Pair(image, labels)


def _read(path: Path, flags: int) -> NDArray[np.uint8]:
    content = cv2.imread(str(path), flags)
    if content is None:
        raise SourceError(f"{path} cannot be read as a picture")
    return np.asarray(content, np.uint8)
