"""Frames through torch on a GPU have the labels of the CPU's path. It has never run: torch needs a real GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtparse import Parser
from rtparse.engines import open_engine
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    from rtparse.train.checkpoint import save_checkpoint
    from rtparse.train.model import build_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "nano.safetensors"
    save_checkpoint(build_model("nano"), path, ModelMetadata(name="nano", size_hw=(64, 96)))
    return path


def test_torch_goes_on_beside_a_parser_and_after_it(checkpoint: Path) -> None:
    import torch

    kept = torch.arange(1000, device="cuda")
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    with Parser(checkpoint, size=(64, 96)) as parser:
        for parsing in parser.stream([image] * 5):
            assert parsing.labels.shape == (128, 192)
            kept += 1
    assert torch.equal((kept * kept).cpu(), (torch.arange(1000) + 5) ** 2)


@pytest.mark.parametrize("depth", [1, 3])
def test_frames_through_torch_have_the_references_labels(checkpoint: Path, depth: int) -> None:
    from rtparse.engines.torch_cuda import TorchCudaEngine

    letterbox = Letterbox.fit((128, 192), (64, 96))
    images = [np.random.default_rng(seed).integers(0, 255, (128, 192, 3), np.uint8) for seed in range(8)]
    with open_engine(checkpoint) as engine, Parser(engine, size=(64, 96)) as parser:
        assert isinstance(engine, TorchCudaEngine)
        with engine.frame_path((64, 96), depth=depth) as path:
            for image in images:  # at first without a graph
                (parsed,) = path.submit([(image, letterbox)]).result()
                # Random weights: many pixels nearly tie, which half precision decides otherwise.
                assert (parsed.labels == parser(image).labels).mean() > 0.9
            batch = path.submit([(image, letterbox) for image in images[:3]]).result()
            for parsed, image in zip(batch, images, strict=False):
                assert (parsed.labels == parser(image).labels).mean() > 0.9
