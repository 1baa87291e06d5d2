"""Render training pairs into a folder, or the example clip: python -m rtparse.train.synthetic --help"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from rtparse._cv import cv2
from rtparse.cli import main
from rtparse.errors import SinkError, UsageError
from rtparse.train.synthetic.clip import write_clip
from rtparse.train.synthetic.scene import render_scene


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Render labelled people into a folder, or the example clip."""


@command.command("pairs")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-n", "--count", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@click.option("--size", default="256x192", show_default=True, metavar="HxW", help="In pixels, 16 or more each.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same pictures.")
def pairs(folder: Path, count: int, size: str, seed: int) -> None:
    """Write pictures and labels: FOLDER/images/NNNN.jpg, FOLDER/labels/NNNN.png."""
    write_pairs(folder, count, parse_size(size), seed)


@command.command("clip")
@click.argument("file", type=click.Path(path_type=Path))
def clip(file: Path) -> None:
    """Draw the example clip: an MP4 with sound."""
    write_clip(file)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width out of "256x192". Raises UsageError."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) >= 16 and int(width) >= 16):
        raise UsageError(f"the size is {text!r}, expected HxW of at least 16 each", "for example: --size 256x192")
    return int(height), int(width)


def write_pairs(folder: Path, count: int, size_hw: tuple[int, int], seed: int) -> None:
    """Write `count` pictures with labels; picture i depends on the seed and i alone. Raises SinkError."""
    try:
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot make folders in {folder}: {error.strerror}", "choose a folder that is writable"
        ) from None
    for index in range(count):
        scene = render_scene(np.random.default_rng((seed, index)), size_hw)
        for path, picture in (
            (folder / "images" / f"{index:04}.jpg", scene.image_bgr),
            (folder / "labels" / f"{index:04}.png", scene.labels),
        ):
            if not cv2.imwrite(str(path), picture):
                raise SinkError(f"cannot write {path}", "is the disk full?")


if __name__ == "__main__":
    main(command)
