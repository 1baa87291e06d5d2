"""A server of a fake engine, whose answer is known, and what visitors send."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("fastapi", reason='needs pip install "rtparse[serve]"')

from PIL import Image

from rtparse import CLASSES, Parser
from rtparse.engines.fake import FakeEngine

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")


@pytest.fixture(scope="session")
def answer() -> NDArray[np.uint8]:
    """What the fake engine sees in everything: hair above a face in the middle (32x48)."""
    picture = np.zeros((32, 48), np.uint8)
    picture[8:16, 16:32] = HAIR
    picture[16:24, 16:32] = FACE
    return picture


@pytest.fixture
def parser(answer: NDArray[np.uint8]) -> Iterator[Parser]:
    with Parser(FakeEngine(answer), size=(64, 96)) as made:
        yield made


def image_file(kind: str = "JPEG", size_wh: tuple[int, int] = (96, 64), **options: object) -> bytes:
    """A whole image file with noise in it."""
    noise = np.random.default_rng(0).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def walk() -> Path:
    """The example clip: a person walks, 640x360."""
    return Path(__file__).parents[2] / "examples/walk.mp4"
