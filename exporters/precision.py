"""A float32 graph to half precision, but for the layers that were seen to need float32.

TensorRT networks are strongly typed: an FP16 engine is an FP16 graph. Whether a layer fits is measured, on pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from rtparse.errors import EngineError, UsageError
from rtparse.exporters.graph import drop_unused, quiet
from rtparse.exporters.int8 import quantize
from rtparse.exporters.rounding import rounded, without_round_trips
from rtparse.metadata import ModelMetadata

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Pictures = Sequence[NDArray[np.float32]]
"""Network inputs (N, 3, H, W) float32."""

LARGEST = 65504.0 / 4
"""Of what a layer's values may be on the pictures measured, so that others have room up to float16's largest."""
MIN_AGREEMENT = 0.995
BFLOAT16_OPSET = 22
"""The first whose convolutions take bfloat16."""
MOST_FLOAT32_LAYERS = 32


@dataclass(frozen=True)
class Cast:
    """A graph in another precision. float32_layers: names of the nodes that stay. agreement: share of pixels with the
    label of the float32 graph, None where the CPU cannot compute in that precision.
    """

    proto: onnx.ModelProto
    float32_layers: tuple[str, ...]
    agreement: float | None


def cast(
    proto: onnx.ModelProto,
    metadata: ModelMetadata,
    precision: Precision,
    pictures: Pictures,
    calibrating: Pictures = (),
    on_picture: Callable[[int, int], None] = lambda done, total: None,
    keep_io: bool = False,
) -> Cast:
    """The float32 graph in a precision.

    pictures, keep_io: as `to_half`. calibrating: for int8, from `calibration_inputs`; on_picture: as `quantize`.
    Raises UsageError for int8 without pictures to calibrate on, and for a graph that is int8 already in another
    precision or with such pictures; EngineError where the precision changes too much.
    """
    if metadata.precision == "int8":
        if precision != "int8":
            raise UsageError(f"the model is quantized to int8, asked for was {precision}", "give the float model")
        if calibrating:
            raise UsageError("the model is quantized to int8 already", "give the float model, or no --calibrate")
        names = next((item.value for item in proto.metadata_props if item.key == "float_nodes"), "")
        return Cast(proto, tuple(filter(None, names.split(","))), None)
    if precision == "fp16":
        return to_half(proto, pictures, keep_io)
    if precision == "bf16":
        return to_bfloat16(proto)
    if precision == "fp32":
        return Cast(proto, (), None)
    if not calibrating:
        raise UsageError("int8 was asked for without pictures to calibrate on", "add --calibrate DIR")
    with tempfile.TemporaryDirectory() as folder:
        source, quantized = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        helper.set_model_props(proto, metadata.to_props())
        onnx.save(proto, source)
        found = quantize(source, quantized, calibrating, on_picture)
        return Cast(onnx.load(quantized), found.float_nodes, found.agreement)


def to_half(proto: onnx.ModelProto, inputs: Pictures, keep_io: bool = False) -> Cast:
    """The graph in float16, with those layers in float32 whose values overflow it or change labels.

    inputs: network inputs (N, 3, H, W) float32, of the graph's size if that is fixed, to measure on.
    keep_io: input and output stay float32. Raises EngineError where 32 layers in float32 are not enough.
    """
    peaks = _peaks(proto, inputs)
    wide = [name for name, peak in peaks.items() if not peak <= LARGEST]
    ranked = [name for name in sorted(peaks, key=lambda name: -peaks[name]) if name not in wide]
    expected = [logits.argmax(1) for logits in _run(proto, inputs)]
    more = 0
    while True:
        kept = [*wide, *ranked[:more]]
        answers = (
            logits.astype(np.float32 if keep_io else np.float16) for logits in _run(rounded(proto, kept), inputs)
        )
        same = [answer.argmax(1) == labels for answer, labels in zip(answers, expected, strict=True)]
        agreement = float(np.mean([picture.mean() for picture in same]))
        if agreement >= MIN_AGREEMENT:
            order = {node.name: index for index, node in enumerate(proto.graph.node)}
            return Cast(_cast(proto, kept, keep_io), tuple(sorted(kept, key=order.__getitem__)), agreement)
        more = 2 * more or 1
        if more > MOST_FLOAT32_LAYERS:
            raise EngineError(
                f"float16 changes too much: same label on {agreement:.2%} of pixels, expected {MIN_AGREEMENT:.1%}, "
                f"with {len(kept)} layers in float32",
                "build with --precision fp32 or bf16",
            )


def to_bfloat16(proto: onnx.ModelProto) -> Cast:
    """The graph in bfloat16, with float32 input and output. No layer overflows, as in float32; CPUs cannot run it.

    Transposed convolutions stay in float32: TensorRT-RTX has none in bfloat16.
    """
    kept = [node.name for node in proto.graph.node if node.op_type == "ConvTranspose"]
    half = _cast(version_converter.convert_version(proto, BFLOAT16_OPSET), kept, keep_io=True)
    for node in half.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
    values = {weight.name: weight for weight in proto.graph.initializer}
    for weight in half.graph.initializer:
        if weight.data_type == TensorProto.FLOAT16:
            original = numpy_helper.to_array(values[weight.name])
            weight.CopyFrom(helper.make_tensor(weight.name, TensorProto.BFLOAT16, original.shape, original.flatten()))
    for info in [*half.graph.input, *half.graph.output, *half.graph.value_info]:
        if info.type.tensor_type.elem_type == TensorProto.FLOAT16:
            info.type.tensor_type.elem_type = TensorProto.BFLOAT16
    return Cast(half, tuple(kept), None)


def _cast(proto: onnx.ModelProto, float32_layers: list[str], keep_io: bool) -> onnx.ModelProto:
    with quiet():
        from onnxruntime.transformers.float16 import (  # type: ignore[import-untyped, unused-ignore]
            convert_float_to_float16,
        )
        from onnxruntime.transformers.onnx_model import OnnxModel  # type: ignore[import-untyped, unused-ignore]

        half: onnx.ModelProto = convert_float_to_float16(
            proto, keep_io_types=keep_io, op_block_list=[], node_block_list=float32_layers
        )
        OnnxModel(half).topological_sort()  # the casts come last
    without_round_trips(half)
    return drop_unused(half)


def _peaks(proto: onnx.ModelProto, inputs: Pictures) -> dict[str, float]:
    """The largest magnitude among the weights, inputs and outputs of each node, in the order of the graph."""
    values = {
        weight.name: float(np.abs(numpy_helper.to_array(weight)).max(initial=0))
        for weight in proto.graph.initializer
        if weight.data_type == TensorProto.FLOAT
    }
    tensors = [*proto.graph.value_info, *proto.graph.output]
    floats = {info.name for info in tensors if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    measured = onnx.ModelProto()
    measured.CopyFrom(proto)
    computed = [name for node in proto.graph.node for name in node.output if name in floats]
    del measured.graph.output[:]
    measured.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in computed)
    session = _session(measured)
    for given in inputs:
        for name, found in zip(computed, session.run(None, {session.get_inputs()[0].name: given}), strict=True):
            # max of a NaN is a NaN, which is not within any bound
            values[name] = float(np.maximum(values.get(name, 0.0), np.abs(found).max(initial=0)))
    return {
        node.name: float(np.max([values.get(name, 0.0) for name in [*node.input, *node.output]]))
        for node in proto.graph.node
        if floats.intersection(node.output)
    }


def _run(proto: onnx.ModelProto, inputs: Pictures) -> Iterator[NDArray[np.float32]]:
    session = _session(proto)
    name = session.get_inputs()[0].name
    for given in inputs:
        yield session.run(None, {name: given})[0]


def _session(proto: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
