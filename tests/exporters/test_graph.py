"""Graphs of one network, their shapes made constant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rtparse.errors import EngineError, UsageError
from rtparse.exporters.graph import load_network, specialize
from rtparse.models import resolve


def kinds(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


@pytest.mark.parametrize(
    ("batch", "size_hw"),
    [
        (1, (64, 48)),  # all is constant
        (None, (64, 48)),  # the usual plan for several streams
        (1, None),
        (None, None),  # as it was
    ],
)
def test_a_specialized_graph_computes_the_same(network, picture, logits_of, batch, size_hw) -> None:
    special = specialize(network, batch, size_hw)
    onnx.checker.check_model(special, full_check=True)
    given = picture if batch else np.concatenate([picture, picture[..., ::-1]])
    assert np.abs(logits_of(special, given) - logits_of(network, given)).max() < 1e-4
    sides = [side.dim_value for side in special.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [batch or 0, 3, *(size_hw or (0, 0))]
    if size_hw:
        assert "Shape" not in kinds(special)
        assert kinds(special)["Resize"] == 3
        weights = {weight.name for weight in special.graph.initializer}
        assert all(set(node.input[1:]) <= weights | {""} for node in special.graph.node if node.op_type == "Resize")


def test_weights_stored_as_float16_become_float32_again(network) -> None:
    stored = {weight.data_type for weight in network.graph.initializer}
    assert TensorProto.FLOAT16 in stored
    special = specialize(network, 1, (64, 48))
    assert TensorProto.FLOAT16 not in {weight.data_type for weight in special.graph.initializer}
    assert "Cast" not in kinds(special)


def test_every_node_has_a_name_of_its_own(network) -> None:
    names = [node.name for node in specialize(network, 1, (64, 48)).graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_the_graph_given_is_left_as_it_was(network) -> None:
    before = network.SerializeToString(deterministic=True)
    specialize(network, 1, (64, 48))
    assert network.SerializeToString(deterministic=True) == before


def test_a_fixed_size_cannot_become_another(network) -> None:
    special = specialize(network, 1, (64, 48))
    assert specialize(special, 1, (64, 48)).graph.input == special.graph.input
    with pytest.raises(UsageError, match="fixed size H = 64, asked for was 128"):
        specialize(special, 1, (128, 48))
    with pytest.raises(UsageError, match="fixed size N = 1, asked for was 4"):
        specialize(special, 4, (64, 48))


def test_a_size_the_network_does_not_take(network) -> None:
    with pytest.raises(UsageError, match="50 is no multiple of 16"):
        specialize(network, 1, (64, 50))


def test_a_quantized_model_stays_quantized() -> None:
    quantized, metadata = load_network(resolve("small-int8"))
    assert metadata.precision == "int8"
    special = specialize(quantized, 1, (64, 48))
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        assert kinds(special)[kind] == kinds(quantized)[kind]


@pytest.mark.parametrize(
    ("given", "classes", "element", "message"),
    [
        (("N", 3, "H", "W"), 21, TensorProto.FLOAT, r"of another network: got image \(N, 3, H, W\), logits \(N, 21"),
        (("N", 1, "H", "W"), 20, TensorProto.FLOAT, r"of another network: got image \(N, 1, H, W\)"),
        (("N", 3, "H", "W"), 20, TensorProto.FLOAT16, "of another network"),  # not a float32 one
    ],
)
def test_another_network_is_refused(make_onnx, tmp_path: Path, given, classes, element, message) -> None:
    path = make_onnx(tmp_path / "other.onnx", given, classes, element)
    with pytest.raises(EngineError, match=message):
        load_network(path)


def test_an_old_opset_is_refused(tmp_path: Path) -> None:
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, "H", "W"]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", shapes[:1], shapes[1:])
    path = tmp_path / "old.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path)
    with pytest.raises(EngineError, match="has opset 11, expected 15 or newer"):
        load_network(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"no model at all"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"bad\.onnx"):
        load_network(path)
    with pytest.raises(UsageError, match="no file"):
        load_network(tmp_path / "none.onnx")
