"""Plans that the real TensorRT-RTX builds, and what its importer makes of our graphs."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import onnx
import pytest

from rtparse.errors import EngineError
from rtparse.exporters.graph import load_network, specialize
from rtparse.exporters.plan import PlanOptions, build_plan
from rtparse.exporters.precision import cast
from rtparse.exporters.upsample_concat import fuse
from rtparse.metadata import ModelMetadata
from rtparse.models import resolve
from rtparse.sidecar import Profile

LANDSCAPE, UPRIGHT = (48, 80), (64, 48)


@pytest.mark.parametrize(
    ("precision", "element"),
    [
        ("fp32", "float32"),
        ("fp16", "float16"),
        ("bf16", "float32"),  # its input and output stay float32: NumPy has no bfloat16
    ],
)
def test_precisions(network, picture, rtx, precision, element) -> None:
    graph = cast(specialize(network, 1, UPRIGHT), ModelMetadata(), precision, [picture]).proto
    plan = build_plan(graph, PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),)))
    assert [(each.name, each.dtype, each.shape) for each in plan.tensors] == [
        ("image", element, (1, 3, 64, 48)),
        ("logits", element, (1, 20, 32, 24)),
    ]
    weights = 12.6e6 * (4 if precision == "fp32" else 2)
    assert weights < len(plan.content) < 1.1 * weights


def test_int8(rtx) -> None:
    quantized = specialize(load_network(resolve("small-int8"))[0], 1, UPRIGHT)
    plan = build_plan(quantized, PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),)))
    assert len(plan.content) < 0.8 * 12.6e6 * 2  # of what float16 weights take


def test_a_free_batch(network, rtx) -> None:
    plan = build_plan(specialize(network, None, UPRIGHT), PlanOptions(rtx, (Profile(UPRIGHT, (1, 4, 16)),)))
    assert [each.shape for each in plan.tensors] == [(-1, 3, 64, 48), (-1, 20, 32, 24)]


def test_several_sizes(network, rtx) -> None:
    profiles = tuple(Profile(size, (1, 1, 2)) for size in (UPRIGHT, LANDSCAPE))
    plan = build_plan(specialize(network), PlanOptions(rtx, profiles))
    assert [each.shape for each in plan.tensors] == [(-1, 3, -1, -1), (-1, 20, -1, -1)]


def test_a_fused_file_is_read_through_its_function(network, rtx) -> None:
    fused = specialize(network, 1, UPRIGHT)
    fuse(fused)
    assert build_plan(fused, PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),))).tensors[1].shape == (1, 20, 32, 24)


def test_progress_is_told(network, rtx) -> None:
    told: list[tuple[str, int, int]] = []
    build_plan(
        specialize(network, 1, UPRIGHT),
        PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),)),
        lambda phase, done, total: told.append((phase, done, total)),
    )
    assert len(told) > 10
    for phase in {phase for phase, _, _ in told}:
        steps = [(done, total) for name, done, total in told if name == phase]
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1]
        assert all(0 <= done <= total for done, total in steps)


def test_ctrl_c_stops_the_build(network, rtx) -> None:
    told = []

    def interrupt(phase: str, done: int, total: int) -> None:
        if not told:
            os.kill(os.getpid(), signal.SIGINT)
        told.append(phase)

    before = threading.active_count()
    options = PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),))
    with pytest.raises(KeyboardInterrupt):
        build_plan(specialize(network, 1, UPRIGHT), options, interrupt)
    assert threading.active_count() == before
    whole: list[str] = []
    build_plan(specialize(network, 1, UPRIGHT), options, lambda phase, done, total: whole.append(phase))
    assert len(told) < len(whole)


def test_what_the_library_says_is_passed_on(network, rtx) -> None:
    wrong = specialize(network, 1, UPRIGHT)
    node = next(node for node in wrong.graph.node if node.op_type == "Relu")
    node.name, node.op_type, node.domain = "relu", "Dance", "party"
    wrong.opset_import.append(onnx.helper.make_opsetid("party", 1))
    with pytest.raises(EngineError, match=r"cannot read the network \(.*Plugin not found.* in relu.*Dance"):
        build_plan(wrong, PlanOptions(rtx, (Profile(UPRIGHT, (1, 1, 1)),)))


def test_a_profile_that_the_network_does_not_take(network, rtx) -> None:
    with pytest.raises(EngineError, match="tensorrt-rtx built no engine"):
        build_plan(specialize(network, 1, UPRIGHT), PlanOptions(rtx, (Profile(LANDSCAPE, (1, 1, 1)),)))


def test_the_importer_keeps_every_layer_of_ours(network, rtx) -> None:
    """Strongly typed, half-pixel: what the network that is built says of itself."""
    trt = rtx.load()
    logger = trt.Logger(trt.Logger.ERROR)  # has to outlive what logs to it
    builder = trt.Builder(logger)
    parsed = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(parsed, logger)
    picture = np.zeros((1, 3, *UPRIGHT), np.float32)
    half = cast(specialize(network, 1, UPRIGHT), ModelMetadata(), "fp16", [picture]).proto
    assert parser.parse(half.SerializeToString())
    layers = [parsed.get_layer(index) for index in range(parsed.num_layers)]
    resizes = [layer for layer in layers if layer.type == trt.LayerType.RESIZE]
    assert len(resizes) == 3
    for layer in resizes:
        layer.__class__ = trt.IResizeLayer
        assert layer.resize_mode == trt.InterpolationMode.LINEAR
        assert layer.coordinate_transformation == trt.ResizeCoordinateTransformation.HALF_PIXEL
    assert {layer.get_output(0).dtype for layer in layers if layer.type == trt.LayerType.CONVOLUTION} == {trt.float16}
