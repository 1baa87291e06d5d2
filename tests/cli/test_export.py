"""`rtparse export --int8` from outside."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rtparse.engines import BACKENDS, open_engine
from rtparse.exporters.check_inputs import network_input
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.model import ModelConfig, build_model
from rtparse.train.synthetic import render_scene


@pytest.fixture
def checkpoint(folder: Path) -> Path:
    """A network that is sure of one class, so that INT8 cannot change its mind."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(smooth_channels=16, layer4=False))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias.normal_(0, 0.5)
        model.classify.bias[13] = 50
    path = folder / "tiny.safetensors"
    save_checkpoint(model, path, ModelMetadata(name="tiny", size_hw=(64, 64)))
    return path


@pytest.fixture
def pictures(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(9):
        cv2.imwrite(str(folder / "pictures" / f"{number}.jpg"), render_scene(rng, (96, 72)).image_bgr)
    return folder / "pictures"


def test_int8(rtparse, checkpoint: Path, pictures: Path, folder: Path) -> None:
    done = rtparse("export", "--weights", checkpoint, "--to", "int8.onnx", "--int8", "--calibrate", pictures)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "int8.onnx: int8, same label on 100.000% of the pixels of pictures not calibrated with" in done.stderr
    assert "WARNING" not in done.stderr
    given = network_input(cv2.imread(str(pictures / "0.jpg")), ModelMetadata(size_hw=(64, 64)), None)
    logits = {}
    for backend in BACKENDS:
        with open_engine(folder / "int8.onnx", backend) as engine:
            assert (engine.metadata.name, engine.metadata.precision) == ("tiny", "int8")
            logits[backend] = engine.infer(given)[:, :13]
    # OpenVINO's own INT8 takes one channel's bias for all, in the context module.
    difference = np.abs(logits["openvino"] - logits["onnxruntime"]).mean()
    assert difference < 0.1 * logits["onnxruntime"].std()
    assert {path.name for path in folder.iterdir()} == {"tiny.safetensors", "pictures", "int8.onnx"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--int8"], "int8 was asked for without pictures to calibrate on"),
        (["--int8", "--precision", "fp16"], "--int8 and --precision fp16 were both given"),
        (["--calibrate", "pictures"], "--calibrate was given without int8"),
        (["--int8", "--calibrate", "pictures", "--store", "fp16"], "--store fp16 is for float32 exports of --weights"),
        (["--int8", "--calibrate", "none"], "Directory 'none' does not exist"),
        (["--to", "none/out.onnx"], "no folder none; make it first: mkdir -p none"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    rtparse, checkpoint: Path, pictures: Path, folder: Path, arguments: list[str], message: str
) -> None:
    done = rtparse("export", "--weights", checkpoint, "--to", "out.onnx", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "out.onnx").exists()
