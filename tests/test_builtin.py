"""The models that ship: small files, self-describing, and able to parse a clip that their training never saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rtparse
from rtparse import CLASSES, Parser
from rtparse.engines import BACKENDS, default_model
from rtparse.engines.cores import multiplies_bytes
from rtparse.models import BUILTINS
from rtparse.train.metrics import Scores, confusion, scores
from rtparse.train.synthetic import Scene
from rtparse.train.synthetic.clip import CLIP_LENGTH, CLIP_OUTFIT, clip_frames, recolored

FRAMES = range(30, CLIP_LENGTH - 30, 9)


@pytest.fixture(scope="module", params=BUILTINS)
def parser(request: pytest.FixtureRequest) -> Iterator[Parser]:
    with Parser(request.param, backend="onnxruntime") as opened:
        yield opened


def judged(parser: Parser, scenes: Iterable[Scene]) -> Scores:
    return scores([confusion(scene.labels, parser(scene.image_bgr).labels) for scene in scenes], resamples=1)


def test_the_file_is_small_and_says_what_it_is(parser: Parser) -> None:
    path = Path(parser.engine.path)
    assert path.parent == Path(rtparse.__file__).parent / "models"
    metadata = parser.engine.metadata
    assert (metadata.name, metadata.classes) == (path.stem.removesuffix("-int8"), CLASSES)
    most, precision = {"small": (27, "fp16"), "small-int8": (14, "int8"), "nano": (7, "fp16")}[path.stem]
    assert path.stat().st_size <= most * 2**20
    assert (metadata.precision, metadata.size_hw) == (precision, (256, 192))
    assert parser.engine.sizes is None


def test_without_a_name_the_one_that_is_fastest_here_is_taken() -> None:
    for backend in BACKENDS:
        with Parser(backend=backend) as chosen:
            assert Path(chosen.engine.path).stem == default_model(backend)
    assert default_model("openvino") == "small"
    assert default_model("onnxruntime") == ("small-int8" if multiplies_bytes() else "small")


def test_the_clip_is_parsed_whatever_colour_the_clothes_have(parser: Parser) -> None:
    as_drawn = judged(parser, clip_frames(FRAMES))
    assert as_drawn.person_iou > 0.6
    assert as_drawn.miou > 0.25
    rng = np.random.default_rng(0)
    dyed = [judged(parser, clip_frames(FRAMES, recolored(CLIP_OUTFIT, rng))) for _ in range(3)]
    assert as_drawn.miou - float(np.mean([found.miou for found in dyed])) <= 0.1


def test_nobody_is_found_where_nobody_is(parser: Parser) -> None:
    shares = []
    for level in (0, 128, 255):
        parsing = parser(np.full((180, 320, 3), level, np.uint8))
        shares.append((parsing.labels != 0).mean())
    assert max(shares) < 0.02


def test_every_frame_size_comes_back_whole(parser: Parser) -> None:
    rng = np.random.default_rng(0)
    for size in ((1, 1), (4320, 7680), (37, 1000)):
        image = rng.integers(0, 255, (*size, 3), np.uint8)
        assert parser(image).labels.shape == size


def test_batch_and_single_agree(parser: Parser) -> None:
    images = [scene.image_bgr for scene in clip_frames(range(60, 100, 10))]
    for one, many in zip((parser(image) for image in images), parser.batch(images), strict=True):
        assert (one.labels == many.labels).mean() > 0.999


def test_parsing_is_deterministic(parser: Parser) -> None:
    scene = next(iter(clip_frames(range(100, 101))))
    runs = [parser(scene.image_bgr).labels for _ in range(3)]
    assert all((a == b).all() for a, b in pairwise(runs))
