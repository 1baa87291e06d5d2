"""Graphs in half precision, and the layers that stay in float32 because they were seen to need it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtparse.errors import EngineError, UsageError
from rtparse.exporters.graph import load_network, specialize
from rtparse.exporters.precision import cast, to_bfloat16, to_half
from rtparse.metadata import ModelMetadata
from rtparse.models import resolve


def test_the_built_in_model_fits_float16(network, picture, logits_of) -> None:
    graph = specialize(network, 1, (64, 48))
    half = to_half(graph, [picture])
    assert half.float32_layers == ()
    assert half.agreement == pytest.approx(1, abs=0.005)
    floats = [weight.name for weight in half.proto.graph.initializer if weight.data_type == TensorProto.FLOAT]
    assert all(name.endswith(".scales") for name in floats)  # of Resize, whose scales are float32 by definition
    assert half.proto.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    assert half.proto.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    difference = np.abs(logits_of(half.proto, picture) - logits_of(graph, picture)).max()
    assert 0 < difference < 0.1


def test_input_and_output_can_stay(network, picture) -> None:
    graph = to_half(specialize(network, 1, (64, 48)), [picture], keep_io=True).proto.graph
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


def chain(*weights: np.ndarray) -> onnx.ModelProto:
    """1x1 convolutions named layer0, layer1, ... from image (1, 3, 16, 16) to logits."""
    nodes, tensors = [], ["image", *(f"t{index}" for index in range(len(weights) - 1)), "logits"]
    for index in range(len(weights)):
        nodes.append(helper.make_node("Conv", [tensors[index], f"w{index}"], [tensors[index + 1]], f"layer{index}"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, weights[-1].shape[0], 16, 16))],
        [numpy_helper.from_array(weight.astype(np.float32), f"w{index}") for index, weight in enumerate(weights)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(proto)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)


def test_a_layer_that_overflows_stays_in_float32_and_so_does_its_reader(noise, logits_of) -> None:
    rng = np.random.default_rng(1)
    shapes = (8, 3, 1, 1), (8, 8, 1, 1), (8, 8, 1, 1), (20, 8, 1, 1)
    first, second, third, last = (rng.normal(size=shape) for shape in shapes)
    graph = chain(first, second * 1e5, third * 1e-5, last)
    found = to_half(graph, [noise])
    assert found.float32_layers == ("layer1", "layer2")
    assert np.isfinite(logits_of(found.proto, noise)).all()
    assert found.agreement >= 0.995


def test_layers_are_kept_until_the_labels_agree(noise) -> None:
    # Values of 4000 have steps of 2 or more in float16, and logits that differ by less than that decide here.
    rng = np.random.default_rng(1)
    spread = np.concatenate([np.full((20, 1), 2000.0), rng.normal(size=(20, 2)) * 0.2], 1)[..., None, None]
    graph = chain(np.eye(3)[..., None, None], spread)
    given = noise.copy()
    given[:, 0] = 2
    found = to_half(graph, [given], keep_io=True)
    assert "layer1" in found.float32_layers
    assert found.agreement >= 0.995


def test_a_network_that_no_half_fits_is_refused(noise) -> None:
    rng = np.random.default_rng(1)
    wide = [np.eye(3)[..., None, None] for _ in range(70)]  # more layers than may stay
    spread = np.concatenate([np.full((20, 1), 2000.0), rng.normal(size=(20, 2)) * 0.2], 1)[..., None, None]
    given = noise.copy()
    given[:, 0] = 2
    with pytest.raises(
        EngineError, match=r"float16 changes too much: same label on .* expected 99\.5%, with \d+ layers"
    ):
        to_half(chain(*wide, spread), [given])  # its output is float16 as well


def test_bfloat16(network) -> None:
    graph = specialize(network, 1, (64, 48))
    found = to_bfloat16(graph)
    onnx.checker.check_model(found.proto, full_check=True)
    transposed = [node.name for node in graph.graph.node if node.op_type == "ConvTranspose"]
    assert found.float32_layers == tuple(transposed)
    assert found.agreement is None
    before = {weight.name: weight for weight in graph.graph.initializer}
    (weight,) = [weight for weight in found.proto.graph.initializer if weight.name == "encoder.conv1.weight"]
    assert weight.data_type == TensorProto.BFLOAT16
    original = numpy_helper.to_array(before[weight.name])
    assert np.abs(numpy_helper.to_array(weight).astype(np.float32) - original).max() <= np.abs(original).max() / 128
    assert found.proto.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_what_does_not_go_together(network, picture) -> None:
    graph = specialize(network, 1, (64, 48))
    with pytest.raises(UsageError, match="without pictures to calibrate on; add --calibrate DIR"):
        cast(graph, ModelMetadata(), "int8", [picture])
    quantized, metadata = load_network(resolve("small-int8"))
    with pytest.raises(UsageError, match="is quantized to int8, asked for was fp16"):
        cast(quantized, metadata, "fp16", [picture])
    with pytest.raises(UsageError, match="is quantized to int8 already"):
        cast(quantized, metadata, "int8", [picture], [picture])
    kept = cast(quantized, metadata, "int8", [picture])
    assert kept.proto is quantized
    assert kept.float32_layers == tuple(node.name for node in quantized.graph.node if node.op_type == "Conv")[-1:]


def test_a_layer_with_several_outputs(noise) -> None:
    halves = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 8, 16)) for name in ("upper", "lower")]
    graph = helper.make_graph(
        [
            helper.make_node("Split", ["image"], ["upper", "lower"], "split", axis=2, num_outputs=2),
            helper.make_node("Concat", ["lower", "upper"], ["logits"], "concat", axis=2),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 3, 16, 16))],
        value_info=halves,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    # The two largest of a pixel may round to one float16, so the labels agree nearly, not quite.
    assert to_half(proto, [noise]).float32_layers == ()
