"""What the network's presets cost and give: parameters, GFLOP, milliseconds on this CPU, mIoU."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from rtparse.engines import BACKENDS, available_engines, open_engine
from rtparse.errors import UsageError
from rtparse.exporters.onnx import to_onnx
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import load_checkpoint
from rtparse.train.data import Dataset
from rtparse.train.evaluation.judge import judge
from rtparse.train.evaluation.opening import open_parser
from rtparse.train.model import PRESETS, CDLinkNet, ModelConfig, build_model

SIZE_HW = (256, 192)
"""The paper's input, for which GFLOP are quoted."""
FRAME_HW = (176, 304)
"""The network's input for a 16:9 frame, on which engines are timed."""
RUNS = 7


@dataclass(frozen=True)
class PresetRow:
    """One preset.

    parameters: at inference, so without auxiliary heads.
    gflop: of one 256x192 input, two operations for a multiply-add; convolutions only, the rest is below 1 %.
    ms: of one 304x176 input, by backend, the median. miou: of the given weights on the given data, or None.
    """

    preset: str
    config: ModelConfig
    parameters: int
    gflop: float
    ms: Mapping[str, float]
    miou: float | None


def cpu_backends() -> list[str]:
    """What can run .onnx files here."""
    return [status.kind for status in available_engines() if status.kind in BACKENDS and status.available]


def load_presets(weights: Mapping[str, Path]) -> dict[str, tuple[CDLinkNet, ModelMetadata]]:
    """Checkpoints by preset. Raises UsageError for an unknown preset or a checkpoint of another network."""
    loaded = {}
    for preset, path in weights.items():
        if preset not in PRESETS:
            raise UsageError(f"there is no preset {preset!r}", f"choose from: {', '.join(PRESETS)}")
        model, metadata = load_checkpoint(path)
        if _inference(model.config) != _inference(PRESETS[preset]):
            raise UsageError(f"{path} is no {preset}: it holds {model.config}", f"expected {PRESETS[preset]}")
        loaded[preset] = model, metadata
    return loaded


def measure_preset(
    preset: str,
    trained: tuple[CDLinkNet, ModelMetadata] | None = None,
    data: Dataset | None = None,
    on_progress: Callable[[str], None] = lambda what: None,
) -> PresetRow:
    """Count, time and judge one preset, the engines in turns.

    trained: from `load_presets`; without it the weights are random and there is no mIoU. data: labelled pictures.
    """
    model, metadata = trained or (build_model(preset), ModelMetadata(name=preset))
    parameters, gflop = count(model.config)
    with tempfile.TemporaryDirectory() as folder:
        on_progress("exporting")
        path = Path(folder) / f"{preset}.onnx"
        path.write_bytes(to_onnx(model, metadata).SerializeToString())
        del model
        on_progress("timing")
        ms = _milliseconds(path)
        miou = None
        if trained is not None and data is not None:
            on_progress("judging")
            with open_parser(path, size="model") as parser:
                miou = judge(parser, ((str(i), data[i]) for i in range(len(data)))).scores.miou
    return PresetRow(preset, PRESETS[preset], parameters, gflop, ms, miou)


def count(config: ModelConfig) -> tuple[int, float]:
    """Parameters at inference, and GFLOP of one 256x192 input, of a network that is never allocated."""
    with torch.device("meta"):
        model = CDLinkNet(_inference(config)).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty(1, 3, *SIZE_HW))
    return sum(each.numel() for each in model.parameters()), counter.get_total_flops() / 1e9


def _inference(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, deep_supervision=False)


def _milliseconds(path: Path) -> dict[str, float]:
    given = np.random.default_rng(0).normal(size=(1, 3, *FRAME_HW)).astype(np.float32)
    seconds: dict[str, list[float]] = {backend: [] for backend in cpu_backends()}
    with ExitStack() as stack:
        engines = {backend: stack.enter_context(open_engine(path, backend)) for backend in seconds}
        for engine in engines.values():
            engine.infer(given)
        for _ in range(RUNS):
            for backend, engine in engines.items():
                started = time.perf_counter()
                engine.infer(given)
                seconds[backend].append(time.perf_counter() - started)
    return {backend: statistics.median(each) * 1000 for backend, each in seconds.items()}
