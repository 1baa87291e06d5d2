"""That what an engine is compared with computes the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rtparse.engines import open_engine
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.rivals import RIVALS, check_rivals, open_rivals
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.model import ModelConfig, build_model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(build_model(ModelConfig(smooth_channels=16, layer4=False)), path, ModelMetadata(name="tiny"))
    return path


def test_all_give_the_logits_of_a_checkpoint(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as ever, but not compiled to machine code: that takes a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    batch = np.random.default_rng(0).normal(size=(1, 3, 48, 80)).astype(np.float32)
    with open_engine(checkpoint) as engine, open_rivals(tuple(RIVALS), str(checkpoint)) as rivals:
        expected = engine.infer(batch)
        assert [rival.kind for rival in rivals.values()] == list(RIVALS)
        for name, rival in rivals.items():
            np.testing.assert_allclose(rival.infer(batch), expected, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("names", "model", "message"),
    [
        (("tensorflow",), "small.onnx", "there is no 'tensorflow' to compare with; choose from: onnxruntime"),
        (("openvino", "torch"), "small.onnx", "torch cannot run small.onnx; expected .safetensors"),
        (("onnxruntime",), "small.plan", "expected .onnx or .safetensors"),
    ],
)
def test_names_that_cannot_be_meant(names: tuple[str, ...], model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_rivals(names, model)
