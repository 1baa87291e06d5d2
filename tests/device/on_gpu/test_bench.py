"""`bench` with an engine that keeps frames on the GPU. The stand-in knows nothing of speed: this is about the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from halving import Halving, logits_of
from numpy.typing import NDArray

from rtparse.bench import bench
from rtparse.device import Device
from rtparse.device.frames import FramePath
from rtparse.device.kernels import Compiler
from rtparse.engines import Engine
from rtparse.metadata import ModelMetadata
from rtparse.sidecar import Profile

SIZE = (64, 96)
WALK = Path(__file__).parents[3] / "examples/walk.mp4"


class HalvingEngine(Engine):
    kind = "halving"
    path = ""
    metadata = ModelMetadata(name="halves", size_hw=SIZE)
    sizes = (SIZE,)

    def __init__(self, device: Device, compiler: Compiler) -> None:
        self._device = device
        self._compiler = compiler
        self.paths: list[tuple[tuple[int, int], int]] = []

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return logits_of(batch)

    def frame_path(self, network_hw: tuple[int, int], *, depth: int, smooth: float) -> FramePath:
        self.paths.append((network_hw, depth))
        network = Halving(self._device, self._compiler, (Profile(network_hw, (1, 1, 1)),), "float32")
        return FramePath(self._device, network, self.metadata, depth=depth, smooth=smooth, compiler=self._compiler)

    def close(self) -> None:
        pass


def test_latency_is_that_of_a_path_of_depth_1(device: Device, compiler: Compiler) -> None:
    engine = HalvingEngine(device, compiler)
    report = bench(engine, str(WALK), 10)
    assert report.frames == 10
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["p99"]
    assert engine.paths == [(SIZE, 1)] + [(SIZE, 3)] * report.rounds  # the pipeline has its own
