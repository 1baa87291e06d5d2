"""INT8 files against the float files that they come from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtparse.engines import BACKENDS, open_engine
from rtparse.errors import EngineError, UsageError
from rtparse.exporters.int8 import calibration_inputs, quantize
from rtparse.exporters.onnx import OPSET
from rtparse.metadata import ModelMetadata
from rtparse.train.synthetic import render_scene

METADATA = ModelMetadata(name="tiny", size_hw=(64, 64))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(16):
        cv2.imwrite(str(folder / f"{number:02}.png"), render_scene(rng, (96, 72)).image_bgr)
    return folder


@pytest.fixture(scope="module")
def inputs(pictures: Path) -> list[NDArray[np.float32]]:
    return calibration_inputs(pictures, METADATA, None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network with a convolution of each kind, whose logits are clear enough to outlive INT8."""
    rng = np.random.default_rng(0)
    weights = {
        "first.weight": rng.normal(0, 0.3, (16, 3, 3, 3)),
        "first.bias": rng.normal(0, 0.1, 16),
        "up.weight": rng.normal(0, 0.2, (16, 12, 3, 3)),
        "up.bias": rng.normal(0, 0.1, 12),
        "last.weight": rng.normal(0, 1, (20, 12, 1, 1)),
        "last.bias": rng.normal(0, 4, 20),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first.weight", "first.bias"], ["a"], "first", strides=[4, 4], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node(
            "ConvTranspose",
            ["b", "up.weight", "up.bias"],
            ["c"],
            "up",
            strides=[2, 2],
            pads=[1] * 4,
            output_padding=[1, 1],
        ),
        helper.make_node("Relu", ["c"], ["d"], "relu_up"),
        helper.make_node("Conv", ["d", "last.weight", "last.bias"], ["logits"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("N", 3, "H", "W"))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", 20, "h", "w"))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    helper.set_model_props(model, METADATA.to_props())
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def int8(source: Path, inputs: list[NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "int8.onnx"
    done: list[tuple[int, int]] = []
    found = quantize(source, path, inputs, lambda *progress: done.append(progress))
    assert found.agreement >= 0.97
    assert (found.calibrated, found.judged) == (14, 2)
    assert done == [(number, 14) for number in range(1, 15)]
    assert list(path.parent.iterdir()) == [path]
    return path


def test_pictures_become_inputs_as_the_runtime_prepares_them(inputs: list[NDArray[np.float32]]) -> None:
    assert len(inputs) == 16
    assert {(each.shape, each.dtype) for each in inputs} == {((1, 3, 64, 64), np.dtype(np.float32))}


def test_a_static_size_is_kept(pictures: Path) -> None:
    assert {each.shape for each in calibration_inputs(pictures, METADATA, (32, 80))} == {(1, 3, 32, 80)}


def test_of_many_pictures_some_are_taken_from_the_whole_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = calibration_inputs(pictures, METADATA, None)
    (tmp_path / "images").symlink_to(pictures)  # as a dataset has them
    assert all(map(np.array_equal, calibration_inputs(tmp_path, METADATA, None), every))
    monkeypatch.setattr("rtparse.exporters.int8.MOST_PICTURES", 4)
    some = calibration_inputs(pictures, METADATA, None)
    assert len(some) == 4
    for chosen, expected in zip(some[:: len(some) - 1], every[:: len(every) - 1], strict=True):
        assert np.array_equal(chosen, expected)  # the first and the last


@pytest.mark.parametrize(
    ("count", "message"), [(0, "has 0 pictures"), (7, "has 7 pictures to calibrate with, expected 8 or more")]
)
def test_too_few_pictures_are_refused(pictures: Path, tmp_path: Path, count: int, message: str) -> None:
    for path in sorted(pictures.iterdir())[:count]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UsageError, match=message):
        calibration_inputs(tmp_path, METADATA, None)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        calibration_inputs(tmp_path / "none", METADATA, None)


def test_every_convolution_but_the_last_is_int8_and_symmetric(int8: Path) -> None:
    graph = onnx.load(int8).graph
    weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    kinds = Counter(made_by[node.input[1]].op_type for node in convolutions if node.input[1] in made_by)
    assert kinds == {"DequantizeLinear": len(convolutions) - 1}
    for node in convolutions[:-1]:
        quantized, scale, zero = made_by[node.input[1]].input
        assert weights[quantized].dtype == np.int8
        # A scale for each output channel, the second axis of a transposed convolution.
        assert weights[scale].shape == (weights[quantized].shape[node.op_type == "ConvTranspose"],)
        assert not weights[zero].any()
        assert node.input[2] in weights, "a bias that is quantized cannot be read by TensorRT"
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            assert weights[node.input[2]].dtype == np.int8
            assert weights[node.input[2]] == 0


def test_metadata_says_what_was_done(int8: Path) -> None:
    props = {item.key: item.value for item in onnx.load(int8).metadata_props}
    assert ModelMetadata.from_props(props) == ModelMetadata(name="tiny", size_hw=(64, 64), precision="int8")
    assert props["float_nodes"] == [node.name for node in onnx.load(int8).graph.node if node.op_type == "Conv"][-1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_engines_run_it_at_any_size(source: Path, int8: Path, backend: str) -> None:
    pytest.importorskip(backend)
    given = np.random.default_rng(0).normal(size=(2, 3, 48, 80)).astype(np.float32)
    with open_engine(source, "onnxruntime") as expected, open_engine(int8, backend) as found:
        logits = found.infer(given)
        assert found.metadata.precision == "int8"
        assert logits.shape == (2, 20, 24, 40)
        assert (logits.argmax(1) == expected.infer(given).argmax(1)).mean() > 0.9


def test_a_file_that_changes_too_much_is_not_written(
    source: Path, inputs: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    # Scales from pictures without contrast cut off everything that other pictures show.
    flat = [given if number % 8 == 0 else given * 1e-4 for number, given in enumerate(inputs)]
    with pytest.raises(EngineError, match="INT8 changes too much: same label on"):
        quantize(source, tmp_path / "bad.onnx", flat)
    assert list(tmp_path.iterdir()) == []
