"""An ONNX file as a graph for TensorRT: of one network that rtparse knows, with its shapes as constant as can be."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.inliner import inline_local_functions

from rtparse.errors import EngineError, UsageError
from rtparse.metadata import SIZE_MULTIPLE, ModelMetadata

OLDEST_OPSET = 15
"""The first whose Shape takes a start and an end, as the function body of the fused op needs."""


def load_network(path: Path) -> tuple[onnx.ModelProto, ModelMetadata]:
    """An .onnx file with its model-local functions inlined, and what it says of itself.

    Raises UsageError for a missing file, EngineError for one that is no ONNX, is of another network than one from a
    float32 (N, 3, H, W) to float32 logits (N, classes, h, w), or has an opset before 13.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}", "give an .onnx file")
    try:
        proto = onnx.load(path)
        onnx.checker.check_model(proto)
    except Exception as error:  # protobuf and the checker raise a dozen types
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"{path} is no ONNX model ({reason})", "export one: rtparse export --to model.onnx") from None
    opset = next((each.version for each in proto.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise EngineError(
            f"{path} has opset {opset}, expected {OLDEST_OPSET} or newer", "export it again with a newer opset"
        )
    metadata = ModelMetadata.from_props({item.key: item.value for item in proto.metadata_props})
    _check_interface(path, proto.graph, len(metadata.classes))
    return inline_local_functions(proto), metadata


def _check_interface(path: Path, graph: onnx.GraphProto, classes: int) -> None:
    fed = {weight.name for weight in graph.initializer}
    tensors = [*(each for each in graph.input if each.name not in fed), *graph.output]
    got = ", ".join(f"{each.name} ({', '.join(map(str, _sides(each)))})" for each in tensors)
    fits = len(tensors) == 2 and all(
        each.type.tensor_type.elem_type == TensorProto.FLOAT and len(_sides(each)) == 4 for each in tensors
    )
    if not fits or _sides(tensors[0])[1] != 3 or _sides(tensors[1])[1] != classes:
        raise EngineError(
            f"{path} is an ONNX of another network: got {got}, expected float32 (N, 3, H, W) and logits "
            f"(N, {classes}, h, w)",
            "export a model of rtparse: rtparse export --to model.onnx",
        )


def _sides(tensor: onnx.ValueInfoProto) -> list[int | str]:
    return [side.dim_value or side.dim_param for side in tensor.type.tensor_type.shape.dim]


def specialize(
    proto: onnx.ModelProto, batch: int | None = None, size_hw: tuple[int, int] | None = None
) -> onnx.ModelProto:
    """A copy with the batch and the input size fixed, and all that follows from them computed.

    None leaves that dimension as it is. With a size, sizes of Resize become constants: their arithmetic would be dozens
    of tiny layers. Raises UsageError for a size or batch that the file, whose own are fixed, does not have.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    sides = fixed.graph.input[0].type.tensor_type.shape.dim
    for side, wanted, what in zip((sides[0], *sides[2:]), (batch, *(size_hw or (None, None))), "NHW", strict=True):
        if wanted is None:
            continue
        if side.dim_value not in (0, wanted):
            raise UsageError(
                f"the ONNX file has the fixed size {what} = {side.dim_value}, asked for was {wanted}",
                "give one with a dynamic batch, height and width: rtparse export --to model.onnx",
            )
        if what != "N" and wanted % SIZE_MULTIPLE:
            raise UsageError(f"the size {wanted} is no multiple of {SIZE_MULTIPLE}", "such as 256x192")
        side.dim_value = wanted
    del fixed.graph.value_info[:]  # the shapes that followed from the free dimensions
    output = fixed.graph.output[0].type.tensor_type.shape.dim
    for side in [output[0], *output[2:]]:
        side.Clear()
    folded = _constant_resizes(_folded(fixed))
    for number, node in enumerate(folded.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"  # the layers of a plan are called by them
    return onnx.shape_inference.infer_shapes(folded, data_prop=True)


def _folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    with quiet():
        from onnxscript import optimizer  # type: ignore[import-untyped, unused-ignore]

        largest = 1 << 31  # weights stored as float16 behind a Cast are to become float32 again
        folded: onnx.ModelProto = optimizer.optimize(proto, input_size_limit=largest, output_size_limit=largest)
    return folded


def _constant_resizes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Give each Resize of known height and width constant scales: its sizes hold the batch too, which may be free."""
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    known = {each.name: _sides(each) for each in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in proto.graph.node:
        if node.op_type != "Resize":
            continue
        before, after = known.get(node.input[0], []), known.get(node.output[0], [])
        if not all(isinstance(side, int) for side in [*before[2:], *after[2:]]) or len(after) != 4:
            continue
        scales = np.array([1, 1, *(int(b) / int(a) for a, b in zip(before[2:], after[2:], strict=True))], np.float32)
        if any(int(int(a) * scale) != b for a, b, scale in zip(before[2:], after[2:], scales[2:], strict=True)):
            continue  # ONNX rounds down: only the sizes themselves say it exactly
        name = f"{node.output[0]}.scales"
        proto.graph.initializer.append(numpy_helper.from_array(scales, name))
        node.input[:] = [node.input[0], "", name]
    return drop_unused(proto)


def drop_unused(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Take away, in place, the nodes and weights that no output needs."""
    graph = proto.graph
    needed = {each.name for each in graph.output}
    kept = []
    for node in reversed(graph.node):  # nodes are sorted: users come after what they use
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)
    return proto


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what graph libraries print and log to themselves: their failures are raised as well."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
