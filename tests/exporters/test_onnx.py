"""ONNX files against the network they come from, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtparse.classes import CLASSES
from rtparse.errors import EngineError, SinkError, UsageError
from rtparse.exporters import onnx as exporter
from rtparse.metadata import ModelMetadata
from rtparse.train.model import CDLinkNet, ModelConfig, build_model


@pytest.fixture(scope="module")
def model() -> CDLinkNet:
    torch.manual_seed(0)
    model = build_model(ModelConfig("resnet18", smooth_channels=16))
    with torch.no_grad():
        model.train()
        for _ in range(3):  # BatchNorms that have seen something have something to fold
            model(torch.randn(4, 3, 64, 64))
    return model.eval()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in ((1, 3, 64, 48), (3, 3, 48, 80))]


@pytest.fixture(scope="module")
def dynamic(model: CDLinkNet, pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    parity = exporter.export_onnx(model, path, ModelMetadata(name="tiny"), pictures)
    assert parity.max_difference < 1e-3
    assert parity.agreement > 0.999
    assert parity.pictures == 4
    return path


def test_a_place_that_cannot_be_written_is_named(
    model: CDLinkNet, pictures: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = onnx.ModelProto()
    monkeypatch.setattr(exporter, "to_onnx", lambda *arguments: proto)  # neither is what is asked about
    monkeypatch.setattr(exporter, "compare", lambda *arguments: exporter.Parity(0.0, 1.0, 4))
    (tmp_path / "file").write_text("")
    for place, reason in (("none", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(SinkError, match=rf"{place}/m\.onnx cannot be written \({reason}\)"):
            exporter.export_onnx(model, tmp_path / place / "m.onnx", ModelMetadata(), pictures)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_file_runs_at_any_batch_and_size(dynamic: Path, model: CDLinkNet) -> None:
    session = onnxruntime.InferenceSession(str(dynamic))
    for shape in ((1, 3, 32, 32), (2, 3, 176, 304), (5, 3, 16, 64)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        (logits,) = session.run(None, {"image": x})
        assert logits.shape == (shape[0], 20, shape[2] // 2, shape[3] // 2)
        with torch.no_grad():
            assert np.abs(logits - model(torch.from_numpy(x)).numpy()).max() < 1e-3


def test_graph_is_clean(dynamic: Path) -> None:
    graph = onnx.load(dynamic).graph
    kinds = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in kinds
    assert not any("auxiliary" in weight.name for weight in graph.initializer)
    # The pattern that the fused op replaces: every Resize feeds the one Concat whose last input is D2.
    resized = {node.output[0] for node in graph.node if node.op_type == "Resize"}
    (hyper,) = [node for node in graph.node if node.op_type == "Concat" and resized & set(node.input)]
    assert len(resized) == 3
    assert set(hyper.input[:3]) == resized
    assert len(hyper.input) == 4
    modes = {
        attribute.name: onnx.helper.get_attribute_value(attribute)
        for node in graph.node
        if node.op_type == "Resize"
        for attribute in node.attribute
    }
    assert (modes["mode"], modes["coordinate_transformation_mode"]) == (b"linear", b"half_pixel")


def test_metadata_says_what_a_runtime_needs(dynamic: Path) -> None:
    props = {item.key: item.value for item in onnx.load(dynamic).metadata_props}
    found = ModelMetadata.from_props(props)
    assert found == ModelMetadata(name="tiny")
    assert found.classes == CLASSES


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(context="dblock", smooth=False, deep_supervision=False),  # Table I: B
        ModelConfig(context="dblock", smooth_channels=16, deep_supervision=False),  # B + S
        ModelConfig("resnet50", aspp_rates=(12, 24, 36), smooth=False),  # B + A, and the encoder of `base`
        ModelConfig(smooth_channels=32, layer4=False),  # `nano`
    ],
    ids=["B", "B + S", "B + A, ResNet-50", "nano"],
)
def test_every_kind_of_network_can_be_exported(config: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(config).eval()
    x = np.random.default_rng(3).normal(size=(1, 3, 64, 48)).astype(np.float32)
    path = tmp_path / "model.onnx"
    path.write_bytes(exporter.to_onnx(model, ModelMetadata()).SerializeToString())
    (logits,) = onnxruntime.InferenceSession(str(path)).run(None, {"image": x})
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_fp16_weights_halve_the_file(
    model: CDLinkNet, pictures: list[np.ndarray], dynamic: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.onnx"
    parity = exporter.export_onnx(model, path, ModelMetadata(), pictures, weights="fp16")
    assert path.stat().st_size < 0.52 * dynamic.stat().st_size
    assert parity.agreement > 0.995
    assert {item.key: item.value for item in onnx.load(path).metadata_props}["precision"] == "fp16"


def test_static_size(model: CDLinkNet, tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(1, 3, 64, 96)).astype(np.float32)
    exporter.export_onnx(model, tmp_path / "s.onnx", ModelMetadata(), [x], size_hw=(64, 96))
    session = onnxruntime.InferenceSession(str(tmp_path / "s.onnx"))
    assert session.get_inputs()[0].shape == [1, 3, 64, 96]
    # Constant sizes leave no shape arithmetic behind.
    assert not any(node.op_type == "Shape" for node in onnx.load(tmp_path / "s.onnx").graph.node)
    with pytest.raises(UsageError, match="multiples of 16"):
        exporter.export_onnx(model, tmp_path / "t.onnx", ModelMetadata(), [x], size_hw=(60, 96))


def test_a_file_that_differs_is_not_written(
    model: CDLinkNet, pictures: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = exporter._trace

    def corrupt(folded: torch.nn.Module, size_hw: tuple[int, int] | None) -> onnx.ModelProto:
        proto = trace(folded, size_hw)
        (bias,) = [weight for weight in proto.graph.initializer if weight.name == "classify.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(np.linspace(0, 9, 20, dtype=np.float32), bias.name))
        return proto

    monkeypatch.setattr(exporter, "_trace", corrupt)
    with pytest.raises(EngineError, match=r"logit difference \d.*same label"):
        exporter.export_onnx(model, tmp_path / "bad.onnx", ModelMetadata(), pictures)
    assert list(tmp_path.iterdir()) == []


def test_training_goes_on_after_an_export(model: CDLinkNet) -> None:
    assert model.auxiliary is not None
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
