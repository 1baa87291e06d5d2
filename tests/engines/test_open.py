"""Which engine a file gets, and what is said of those that are not available."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtparse.engines import available_engines, open_engine
from rtparse.errors import EngineError, UsageError


def test_the_extension_names_the_engine(tiny_onnx: Path, tmp_path: Path) -> None:
    upper = tmp_path / "TINY.ONNX"
    upper.write_bytes(tiny_onnx.read_bytes())
    with open_engine(upper) as engine:
        assert (engine.kind, engine.path) == ("onnxruntime", str(upper))


def test_an_unknown_extension_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.pt'; give an \.onnx"):
        open_engine(tmp_path / "model.pt")


def test_a_plan_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no TensorRT engine"):
        open_engine(tmp_path / "model.plan")


def test_a_missing_checkpoint_is_wrong_use(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="no file"):
        open_engine(tmp_path / "none.safetensors")


def test_every_engine_says_whether_it_is_available() -> None:
    found = {status.kind: status for status in available_engines()}
    assert list(found) == ["onnxruntime", "torch", "tensorrt"]
    assert found["onnxruntime"].available
    assert found["onnxruntime"].version
    for status in found.values():
        assert status.available == (status.reason == "")


def test_without_torch_a_checkpoint_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rtparse.engines import open_engine\n"
        "from rtparse.errors import MissingDependencyError\n"
        "try: open_engine('model.safetensors')\n"
        "except MissingDependencyError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == 'torch is not installed; run: pip install "rtparse[train]"'
