"""What the options of the commands open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.train.evaluation.opening import SYNTHETIC, model_identity, open_labelled, open_parser

IMAGE = np.zeros((60, 120, 3), np.uint8)


def network_input(path: Path, **options: object) -> tuple[int, int]:
    """The size at which a model of 64x64 pixels is asked for a frame twice as wide as high."""
    asked = []
    with open_parser(path, backend="onnxruntime", **options) as parser:
        infer = parser.engine.infer
        parser.engine.infer = lambda batch: asked.append(batch.shape[2:]) or infer(batch)
        assert parser(IMAGE).labels.shape == IMAGE.shape[:2]
    return asked[0]


def test_sizes(tiny_onnx: Path, make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    assert network_input(tiny_onnx, size="model") == (64, 64)
    assert network_input(tiny_onnx, size="auto") == (64, 64)  # the least that "auto" allows
    assert network_input(tiny_onnx, size="96x160") == (96, 160)
    # The size is that of scale 1; the largest scale is what the parser hands over.
    assert network_input(tiny_onnx, size="model", scales=(0.5, 1.0, 1.5)) == (96, 96)
    assert network_input(tiny_onnx, size="auto", scales=(1.0, 2.0)) == (96, 176)  # four times the pixels
    assert network_input(tiny_onnx, size="32x64", scales=(2.0,), confidence=0.5) == (64, 128)
    # A model that does not offer the size of its training is asked for one that it does.
    fixed = make_onnx(tmp_path / "fixed.onnx", (1, 3, 32, 48))
    assert network_input(fixed, size="model", flip=True) == (32, 48)


def test_a_model_is_known_by_name_and_digest(tiny_onnx: Path) -> None:
    with open_parser(tiny_onnx, flip=True) as parser:
        name, digest = model_identity(parser)
    assert (name, len(digest)) == ("tiny", 64)


def test_datasets(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        for number in range(5):
            cv2.imwrite(str(tmp_path / f"{name}/{number}.png"), np.zeros((4, 4), np.uint8))
    assert len(open_labelled(str(tmp_path), "val")) == 5
    every = open_labelled(f"folder:{tmp_path}", "val", 2)
    assert [every.paths(i)[0].name for i in range(len(every))] == ["0.png", "2.png", "4.png"]
    assert len(open_labelled("synthetic", "val")) == SYNTHETIC
    assert len(open_labelled("synthetic", "val", 50)) == SYNTHETIC // 50


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_any_engine_can_be_averaged(tiny_onnx: Path, tmp_path: Path, suffix: str) -> None:
    path = tiny_onnx
    if suffix == ".safetensors":
        from rtparse.metadata import ModelMetadata
        from rtparse.train.checkpoint import save_checkpoint
        from rtparse.train.model import ModelConfig, build_model

        path = tmp_path / "tiny.safetensors"
        save_checkpoint(build_model(ModelConfig("resnet18", smooth_channels=16)), path, ModelMetadata(size_hw=(64, 64)))
    with open_parser(path, size="model", flip=True, scales=(1.0, 1.25), confidence=0.2) as parser:
        assert parser(IMAGE).labels.shape == IMAGE.shape[:2]
