"""That what an engine is compared with computes the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rtparse.bench.rivals import ON_GPU, RIVALS, TorchRival, check_rivals, open_rivals
from rtparse.engines import open_engine
from rtparse.engines.cores import multiplies_bfloat16
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
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
    with open_engine(checkpoint) as engine, open_rivals(tuple(RIVALS), str(checkpoint), batch) as rivals:
        expected = engine.infer(batch)
        assert rivals.skipped == {}
        assert [rival.kind for rival in rivals.engines.values()] == list(RIVALS)
        # OpenVINO computes in bfloat16, of eight bits, where the CPU multiplies it.
        rough = {"openvino": 0.02 * np.abs(expected).max()} if multiplies_bfloat16() else {}
        for name, rival in rivals.engines.items():
            np.testing.assert_allclose(rival.infer(batch), expected, atol=rough.get(name, 1e-3), err_msg=name)


def test_in_half_precision_torch_gives_nearly_the_same(checkpoint: Path) -> None:
    batch = np.random.default_rng(0).normal(size=(1, 3, 48, 80)).astype(np.float32)
    with open_engine(checkpoint) as engine, TorchRival(checkpoint, half=True) as rival:
        found, expected = rival.infer(batch), engine.infer(batch)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
        assert (found != expected).any()


def test_what_cannot_use_the_gpu_is_skipped_with_its_reason(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("rtparse.engines.ort.providers", lambda: ["CPUExecutionProvider"])
    batch = np.zeros((1, 3, 48, 80), np.float32)
    with open_rivals(ON_GPU, str(checkpoint), batch, on_gpu=True) as rivals:
        assert rivals.engines == {}
        assert rivals.skipped["onnxruntime"].startswith("the installed ONNX Runtime has no CUDA (CPUExecutionProvider)")
        assert rivals.skipped["torch"] == rivals.skipped["torch-compile"]
        assert rivals.skipped["torch"] == "torch sees no GPU; install a build of torch for CUDA"


def test_what_fails_is_skipped_and_the_others_are_not(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*given: object, **options: object) -> object:
        def fails(batch: object) -> object:
            raise RuntimeError("no compiler")

        return fails

    monkeypatch.setattr(torch, "compile", compiled)
    with open_rivals(("torch-compile", "torch"), str(checkpoint), np.zeros((1, 3, 48, 80), np.float32)) as rivals:
        assert list(rivals.engines) == ["torch"]
        assert "(no compiler)" in rivals.skipped["torch-compile"]


@pytest.mark.parametrize(
    ("names", "model", "message"),
    [
        (("tensorflow",), "small.onnx", "there is no 'tensorflow' to compare with; choose from: onnxruntime"),
        (("openvino", "torch"), "small.onnx", "torch cannot run small.onnx; expected .safetensors"),
        (("onnxruntime",), "small.plan", "expected .onnx or .safetensors; of a plan give .* with --network"),
    ],
)
def test_names_that_cannot_be_meant(names: tuple[str, ...], model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_rivals(names, model)
