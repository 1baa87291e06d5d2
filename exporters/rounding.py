"""What float16 does to a network's answers, seen on a CPU.

ONNX Runtime computes float16 graphs in float32 there and leaves out the roundings in between, so nothing overflows and
little differs. Here each rounding is a pair of Casts in a float32 graph, which it keeps.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import TensorProto, helper


def rounded(proto: onnx.ModelProto, float32_layers: Collection[str]) -> onnx.ModelProto:
    """A float32 graph that computes as the float16 one would: with what each layer reads and writes rounded.

    Within a layer sums are float32, as a GPU's matrix units have them. float32_layers: names of nodes that are left.
    The graph has inferred shapes.
    """
    graph = proto.graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    floats = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    floats |= {weight.name for weight in graph.initializer if weight.data_type == TensorProto.FLOAT}
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    nodes: list[onnx.NodeProto] = []
    half: dict[str, str] = {}

    def halved(name: str) -> str:
        if name not in half:
            half[name] = f"{name}.rounded"
            nodes.extend(_rounding(name, half[name]))
        return half[name]

    for node in made.graph.node:
        computing = node.name not in float32_layers and floats.intersection(node.output)
        if not computing:
            nodes.append(node)
            continue
        # Scales and the like of Resize are float32 in float16 graphs too.
        count = 1 if node.op_type == "Resize" else len(node.input)
        for index in range(count):
            if node.input[index] in floats:
                node.input[index] = halved(node.input[index])
        nodes.append(node)
        for index, output in enumerate(node.output):
            if output in floats:
                node.output[index] = f"{output}.exact"
                nodes += _rounding(node.output[index], output)
                half[output] = output
    del made.graph.node[:], made.graph.value_info[:]
    made.graph.node.extend(nodes)
    return made


def _rounding(name: str, to: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [name], [f"{to}.half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{to}.half"], [to], to=TensorProto.FLOAT),
    ]


def without_round_trips(proto: onnx.ModelProto) -> None:
    """Take away, in place, Casts to float16 and back between two float32 layers: what is between them stays exact."""
    made = {node.output[0]: node for node in proto.graph.node}
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            back = made.get(name)
            there = made.get(back.input[0]) if back is not None and _casts(back, TensorProto.FLOAT) else None
            if there is not None and _casts(there, TensorProto.FLOAT16):
                node.input[index] = there.input[0]


def _casts(node: onnx.NodeProto, to: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == to
