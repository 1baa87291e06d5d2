"""The fused op in an ONNX graph: a node `rtparse::UpsampleConcat` in place of the Resizes and the Concat that it fuses.

The node carries its meaning in standard ops, as a model-local function, so ONNX Runtime runs such a file as any other.
TensorRT's importer is handed the node alone, and takes the plugin of that name (`rtparse.exporters.plugin`).
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from rtparse.exporters.graph import drop_unused

DOMAIN, OP = "rtparse", "UpsampleConcat"
FEWEST_INPUTS, MOST_INPUTS = 2, 5


def fuse(proto: onnx.ModelProto) -> int:
    """Put the fused node, in place, wherever bilinear Resizes meet a tensor of their size in a Concat; how many.

    The graph has inferred shapes. The last input of a Concat must not come from a Resize: it gives the size.
    """
    graph = proto.graph
    made = {name: node for node in graph.node for name in node.output}
    weights = {weight.name: weight for weight in graph.initializer}
    count = 0  # of inputs: a model-local function has one number of them
    fused = 0
    for index, node in enumerate(graph.node):
        sources = [made.get(name) for name in node.input]
        if (
            node.op_type != "Concat"
            or node.attribute[0].i != 1
            or not FEWEST_INPUTS <= len(sources) <= MOST_INPUTS
            or not any(_upsamples(source, weights) for source in sources)
            or _upsamples(sources[-1], weights)
        ):
            continue
        features = [
            source.input[0] if source is not None and _upsamples(source, weights) else name
            for name, source in zip(node.input, sources, strict=True)
        ]
        if count not in (0, len(features)):
            continue
        count = len(features)
        graph.node[index].CopyFrom(helper.make_node(OP, features, list(node.output), name=node.name, domain=DOMAIN))
        fused += 1
    if fused:
        opset = next(each.version for each in proto.opset_import if not each.domain)
        proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        proto.functions.append(_function(count, opset))
        drop_unused(proto)
    return fused


def for_plugin(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose fused nodes have no function body and ask for the plugin that is compiled ahead of time."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    del bare.functions[:]
    for node in bare.graph.node:
        if (node.domain, node.op_type) == (DOMAIN, OP):
            node.attribute.append(helper.make_attribute("aot", 1))
    return bare


def input_count(proto: onnx.ModelProto) -> int:
    """How many inputs the graph's fused nodes have, 0 where there is none."""
    return next((len(node.input) for node in proto.graph.node if (node.domain, node.op_type) == (DOMAIN, OP)), 0)


def _upsamples(node: onnx.NodeProto | None, weights: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node is the bilinear Resize of height and width that the fused op computes."""
    if node is None or node.op_type != "Resize":
        return False
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if attributes.get("mode") != b"linear" or attributes.get("antialias", 0):
        return False
    if attributes.get("coordinate_transformation_mode", b"half_pixel") != b"half_pixel":
        return False
    scales = weights.get(node.input[2]) if len(node.input) == 3 else None
    return scales is None or bool((numpy_helper.to_array(scales)[:2] == 1).all())


def _function(count: int, opset: int) -> onnx.FunctionProto:
    """The meaning of a node with `count` inputs: each resized to the last one's height and width, all concatenated."""
    inputs = [f"x{number}" for number in range(count)]
    nodes = [helper.make_node("Shape", [inputs[-1]], ["hw"], start=2, end=4)]
    for name in inputs[:-1]:
        nodes += [
            helper.make_node("Shape", [name], [f"{name}_nc"], start=0, end=2),
            helper.make_node("Concat", [f"{name}_nc", "hw"], [f"{name}_size"], axis=0),
            helper.make_node(
                "Resize",
                [name, "", "", f"{name}_size"],
                [f"{name}_up"],
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            ),
        ]
    nodes.append(helper.make_node("Concat", [*(f"{name}_up" for name in inputs[:-1]), inputs[-1]], ["y"], axis=1))
    return helper.make_function(DOMAIN, OP, inputs, ["y"], nodes, [helper.make_opsetid("", opset)])
