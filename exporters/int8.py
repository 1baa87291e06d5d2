"""A float ONNX file to INT8: symmetric static quantization with QuantizeLinear and DequantizeLinear nodes.

Scales come from pictures, all zero points are 0, weights have a scale a channel and biases stay float: the form that
ONNX Runtime computes in INT8 and that TensorRT reads too. OpenVINO runs it in float.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import (  # type: ignore[import-untyped, unused-ignore]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from rtparse.engines.ort import OnnxRuntimeEngine
from rtparse.errors import EngineError, UsageError
from rtparse.exporters.check_inputs import network_input
from rtparse.metadata import ModelMetadata
from rtparse.sources.images import image_files, read_image

MOST_PICTURES = 200
FEWEST_PICTURES = 8
JUDGED_EVERY = 8
"""Of the pictures, each 8th is not calibrated with: the labels are compared on it."""
PERCENTILE = 99.99
"""Share of an activation's values within its scale. Of the labels of held-out pictures `small` kept 99.36 % at 99.99,
99.33 % at 99.999, 98.72 % at 99.9 and 99.15 % with the largest value as the scale."""
MIN_AGREEMENT = 0.97


@dataclass(frozen=True)
class Quantized:
    """How an INT8 file compares with the float one: the share of pixels with the same label on pictures not seen.

    calibrated, judged: pictures. float_nodes: those that were left in float.
    """

    agreement: float
    calibrated: int
    judged: int
    float_nodes: tuple[str, ...]


def calibration_inputs(
    folder: Path, metadata: ModelMetadata, size_hw: tuple[int, int] | None
) -> list[NDArray[np.float32]]:
    """Network inputs (1, 3, H, W) float32 of up to 200 pictures, spread over those of a folder, or of images/ in it.

    size_hw: the only size on offer, or None. Raises UsageError for a folder that is missing or has fewer than 8
    pictures, SourceError for a picture that cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", "give one with pictures of what the model will see")
    paths = image_files(folder) or image_files(folder / "images")
    if len(paths) < FEWEST_PICTURES:
        raise UsageError(
            f"{folder} has {len(paths)} pictures to calibrate with, expected {FEWEST_PICTURES} or more",
            "100 pictures of what the model will see are a good number",
        )
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), MOST_PICTURES)).astype(int)
    return [network_input(read_image(paths[i]), metadata, size_hw) for i in chosen]


def quantize(
    source: Path,
    target: Path,
    inputs: Sequence[NDArray[np.float32]],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Quantized:
    """Write the INT8 form of a float ONNX file.

    inputs: from `calibration_inputs`. on_progress: called with the number of pictures that went through, and of all.
    The last convolution stays in float: 256 steps of its logits are too few (99.52 % of labels kept, else 99.37 %).
    Raises EngineError, and writes nothing, when too many labels change.
    """
    judged = inputs[::JUDGED_EVERY]
    calibrating = [given for number, given in enumerate(inputs) if number % JUDGED_EVERY]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared, raw = Path(folder) / "prepared.onnx", Path(folder) / "raw.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        last = [node.name for node in graph.node if node.op_type == "Conv"][-1:]
        quantize_static(
            str(prepared),
            str(raw),
            _Reader(graph.input[0].name, calibrating, on_progress),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=last,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,  # TensorRT reads no INT32 biases
                "CalibPercentile": PERCENTILE,
                "CalibStridedMinMax": 1,  # a histogram grows picture by picture: all activations would fill the memory
            },
        )
        proto = onnx.load(raw)
    metadata = ModelMetadata.from_props({item.key: item.value for item in onnx.load(source).metadata_props})
    helper.set_model_props(proto, replace(metadata, precision="int8").to_props() | {"float_nodes": ",".join(last)})
    onnx.checker.check_model(proto, full_check=True)
    beside = target.with_name(f".{target.name}.part.onnx")
    try:
        beside.write_bytes(proto.SerializeToString())
        agreement = _agreement(source, beside, judged)
        if agreement < MIN_AGREEMENT:
            raise EngineError(
                f"INT8 changes too much: same label on {agreement:.2%} of pixels, expected {MIN_AGREEMENT:.0%}",
                "nothing was written; calibrate with pictures like those that the model was trained on",
            )
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return Quantized(agreement, len(calibrating), len(judged), tuple(last))


def _agreement(source: Path, quantized: Path, inputs: Sequence[NDArray[np.float32]]) -> float:
    with OnnxRuntimeEngine(source) as expected, OnnxRuntimeEngine(quantized) as found:
        same = [expected.infer(given).argmax(1) == found.infer(given).argmax(1) for given in inputs]
    return float(np.mean([picture.mean() for picture in same]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantizer prints a line for each picture and logs advice on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands pictures to the calibration, which sets the range to one after the other."""

    def __init__(
        self, name: str, inputs: Sequence[NDArray[np.float32]], on_progress: Callable[[int, int], None]
    ) -> None:
        self._name = name
        self._inputs = inputs
        self._on_progress = on_progress
        self._next, self._end = 0, len(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._next, self._end = start_index, end_index

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        if self._next == self._end:
            return None
        self._next += 1
        self._on_progress(self._next, len(self._inputs))
        return {self._name: self._inputs[self._next - 1]}
