"""The fused node in ONNX files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtparse.engines import open_engine
from rtparse.exporters.graph import load_network, specialize
from rtparse.exporters.precision import to_half
from rtparse.exporters.upsample_concat import for_plugin, fuse, input_count
from rtparse.metadata import ModelMetadata


@pytest.mark.parametrize("size_hw", [(64, 48), None])  # constant scales; sizes computed when it runs
def test_one_node_takes_the_place_of_resizes_and_concat(network, picture, logits_of, size_hw) -> None:
    plain = specialize(network, None, size_hw)
    fused = specialize(network, None, size_hw)
    assert fuse(fused) == 1
    assert input_count(fused) == 4
    onnx.checker.check_model(fused, full_check=True)
    kinds = Counter(node.op_type for node in fused.graph.node)
    assert (kinds["Resize"], kinds["UpsampleConcat"]) == (0, 1)
    assert np.abs(logits_of(fused, picture) - logits_of(plain, picture)).max() < 1e-5


def test_it_is_fused_in_half_precision_too(network, picture, logits_of) -> None:
    half = to_half(specialize(network, 1, (64, 48)), [picture]).proto
    expected = logits_of(half, picture)
    assert fuse(half) == 1
    assert np.abs(logits_of(half, picture) - expected).max() < 0.02


def test_a_fused_file_is_read_and_run_like_any_other(network, picture, tmp_path: Path) -> None:
    fused = specialize(network)
    fuse(fused)
    helper.set_model_props(fused, ModelMetadata(name="fused").to_props())
    path = tmp_path / "fused.onnx"
    onnx.save(fused, path)
    with open_engine(path) as engine:
        assert engine.kind == "onnxruntime"  # though OpenVINO is there: it reads no functions
        assert engine.infer(picture).shape == (1, 20, 32, 24)
    again, metadata = load_network(path)
    assert metadata.name == "fused"
    assert not again.functions
    assert Counter(node.op_type for node in again.graph.node)["Resize"] == 3


def test_the_importer_of_tensorrt_sees_the_node_alone(network) -> None:
    fused = specialize(network, 1, (64, 48))
    fuse(fused)
    bare = for_plugin(fused)
    assert not bare.functions
    (node,) = [node for node in bare.graph.node if node.op_type == "UpsampleConcat"]
    assert node.domain == "rtparse"
    assert {each.name: each.i for each in node.attribute} == {"aot": 1}
    assert len(fused.functions) == 1


def resize_and_concat(mode: str = "linear", transformation: str = "half_pixel", swapped: bool = False, axis: int = 1):
    """x (1, 4, 8, 8) doubled, concatenated with y (1, 2, 16, 16)."""
    nodes = [
        helper.make_node(
            "Resize", ["x", "", "scales"], ["up"], "up", mode=mode, coordinate_transformation_mode=transformation
        ),
        helper.make_node("Concat", ["y", "up"] if swapped else ["up", "y"], ["z"], "concat", axis=axis),
    ]
    given = [("x", (1, 4, 8, 8)), ("y", (1, 2 if axis == 1 else 4, 16, 16))]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("options", "fused"),
    [
        ({}, 1),
        ({"mode": "nearest"}, 0),
        ({"transformation": "align_corners"}, 0),  # other weights: 23 points of mIoU were once lost to this
        ({"transformation": "asymmetric"}, 0),
        ({"swapped": True}, 0),  # the last one gives the size, so it must not be a resized one
        ({"axis": 2}, 0),
    ],
)
def test_only_what_the_kernel_computes_is_fused(options, fused) -> None:
    proto = resize_and_concat(**options)
    assert fuse(proto) == fused
    assert [node.op_type for node in proto.graph.node] == (["UpsampleConcat"] if fused else ["Resize", "Concat"])
