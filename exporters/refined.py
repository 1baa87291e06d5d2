"""An ONNX file made of another one: of one size, in another precision, with the fused op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import helper

from rtparse.errors import UsageError
from rtparse.exporters.check_inputs import check_inputs
from rtparse.exporters.graph import specialize
from rtparse.exporters.int8 import calibration_inputs
from rtparse.exporters.precision import Precision, cast
from rtparse.exporters.upsample_concat import fuse
from rtparse.metadata import ModelMetadata
from rtparse.sinks.partial import write_whole


@dataclass(frozen=True)
class Refined:
    """What became of the labels. agreement: share of pixels with the float32 graph's label, None where nothing was
    computed in another precision."""

    float32_layers: tuple[str, ...]
    agreement: float | None


def refine_onnx(
    proto: onnx.ModelProto,
    metadata: ModelMetadata,
    target: Path,
    precision: Precision,
    size_hw: tuple[int, int] | None = None,
    fused: bool = False,
    images: Path | None = None,
    calibrate: Path | None = None,
    on_picture: Callable[[int, int], None] = lambda done, total: None,
) -> Refined:
    """Write an ONNX file with float32 input and output.

    proto: from `load_network`. size_hw: of a static input of batch 1, None for what `proto` offers. fused: the
    upsample-concat becomes one node with a function body of standard ops. images, calibrate: folders of pictures.
    Raises UsageError for what does not go together, EngineError where the precision changes too much, SinkError where
    the file cannot be written.
    """
    given = specialize(proto, 1 if size_hw else None, size_hw)
    calibrating = calibration_inputs(calibrate, metadata, size_hw) if calibrate else []
    pictures = check_inputs(images, metadata, size_hw)
    done = cast(given, metadata, precision, pictures, calibrating, on_picture, keep_io=True)
    if fused and not fuse(done.proto):
        raise UsageError("the network has no upsample-concat to fuse", "give --fused off")
    helper.set_model_props(
        done.proto,
        replace(metadata, precision=precision).to_props() | {"float_nodes": ",".join(done.float32_layers)},
    )
    onnx.checker.check_model(done.proto, full_check=True)
    write_whole(target, done.proto.SerializeToString())
    return Refined(done.float32_layers, done.agreement)
