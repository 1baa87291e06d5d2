"""ONNX Runtime and OpenVINO: files that they take, and files that they refuse in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from rtparse.engines.cores import physical_cores
from rtparse.engines.onnx_file import OnnxEngine
from rtparse.engines.openvino import OpenVinoEngine
from rtparse.engines.ort import OnnxRuntimeEngine
from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata

Kind = type[OnnxEngine]


@pytest.fixture(params=[OnnxRuntimeEngine, OpenVinoEngine], ids=lambda kind: kind.kind)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def test_metadata_comes_from_the_file(kind: Kind, make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    written = ModelMetadata(name="mine", size_hw=(128, 96), mean=(0, 0.25, 0.5), channel_order="bgr", precision="fp16")
    with kind(make_onnx(tmp_path / "mine.onnx", metadata=written)) as engine:
        assert engine.metadata == written


def test_a_static_model_offers_its_size(kind: Kind, make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    with kind(make_onnx(tmp_path / "static.onnx", given=(1, 3, 256, 192))) as engine:
        assert engine.sizes == ((256, 192),)
        assert engine.infer(np.zeros((3, 3, 256, 192), np.float32)).shape == (3, 20, 128, 96)
        with pytest.raises(EngineError, match="64x64; the model offers 256x192"):
            engine.infer(np.zeros((1, 3, 64, 64), np.float32))


def test_one_thread_computes_the_same(kind: Kind, tiny_onnx: Path) -> None:
    given = np.random.default_rng(0).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)
    with kind(tiny_onnx, threads=1) as one, kind(tiny_onnx, threads=2) as two:
        np.testing.assert_allclose(one.infer(given), two.infer(given), rtol=1e-4, atol=1e-5)


def test_there_is_a_core() -> None:
    assert physical_cores() >= 1


@pytest.mark.parametrize(
    ("model", "got"),
    [
        ({"classes": 18}, r"\(., 18, ., .\)"),  # another dataset's parsing
        ({"given": ("N", 1, "H", "W")}, r"\(., 1, ., .\)"),  # grey input
        ({"given": ("N", 3, "H", 192)}, r"\(., 3, ., 192\)"),  # one side fixed
        ({"given": (4, 3, "H", "W")}, r"\(4, 3, ., .\)"),  # a fixed batch
        ({"dtype": TensorProto.FLOAT16}, r"float16"),
    ],
)
def test_an_onnx_of_another_network_is_refused(
    kind: Kind, make_onnx: Callable[..., Path], tmp_path: Path, model: dict[str, object], got: str
) -> None:
    path = make_onnx(tmp_path / "other.onnx", **model)
    with pytest.raises(EngineError, match=f"other.onnx is an ONNX of another network: got .*{got}") as caught:
        kind(path)
    assert "expected one float input (N, 3, H, W) and float logits (N, 20, h, w)" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model " * 40], ids=["zero bytes", "text"])
def test_a_file_that_is_no_model_is_refused_in_one_line(
    kind: Kind, tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.onnx is no ONNX model") as caught:
        kind(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_truncated_model_is_refused(kind: Kind, tiny_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(tiny_onnx.read_bytes()[:1000])
    with pytest.raises(EngineError, match=r"half\.onnx"):
        kind(path)


def test_a_missing_file_and_a_folder_are_wrong_use(kind: Kind, tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(UsageError, match="no file"):
            kind(path)
