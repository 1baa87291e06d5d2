"""Render training pairs into a folder, or the example clip: python -m rtparse.train.synthetic --help"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from rtparse.errors import RtparseError, SinkError, UsageError
from rtparse.train.synthetic.clip import write_clip
from rtparse.train.synthetic.scene import render_scene


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtparse.train.synthetic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pairs = commands.add_parser("pairs", help="write pictures and labels: images/NNNN.jpg, labels/NNNN.png")
    pairs.add_argument("folder", type=Path)
    pairs.add_argument("-n", "--count", type=int, default=100, help="how many (default %(default)s)")
    pairs.add_argument("--size", default="256x192", metavar="HxW", help="in pixels (default %(default)s)")
    pairs.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same pictures (default %(default)s)"
    )
    clip = commands.add_parser("clip", help="draw the example clip, an MP4 with sound")
    clip.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "clip":
            write_clip(options.file)
        else:
            write_pairs(options.folder, options.count, parse_size(options.size), options.seed)
    except RtparseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


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
    sys.exit(main())
