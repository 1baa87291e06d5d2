"""`bench` with an engine that keeps frames on the GPU. The stand-in knows nothing of speed: this is about the way."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from halving import Halving, logits_of
from numpy.typing import NDArray

from rtparse.bench import bench, gpu, run
from rtparse.bench.gpu import GpuBench
from rtparse.device import Device, DeviceBuffer, Event, HostBuffer, Stream
from rtparse.device.frames import FramePath
from rtparse.device.kernels import Compiler
from rtparse.engines import Engine
from rtparse.errors import DeviceError, DeviceMemoryError
from rtparse.kernels import MACROS
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.sidecar import Profile

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import WritePlan

SIZE = (64, 96)


class HalvingEngine(Engine):
    kind = "halving"
    path = ""
    metadata = ModelMetadata(name="halves", size_hw=SIZE)
    sizes = (SIZE,)

    def __init__(self, device: Device, compiler: Compiler, fewest: int = 1) -> None:
        self._device = device
        self._compiler = compiler
        self._fewest = fewest
        self.paths: list[tuple[tuple[int, int], int]] = []

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return logits_of(batch)

    def frame_path(self, network_hw: tuple[int, int], *, depth: int, smooth: float) -> FramePath:
        self.paths.append((network_hw, depth))
        device, network = self.device_network(network_hw)
        return FramePath(device, network, self.metadata, depth=depth, smooth=smooth, compiler=self._compiler)

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, Halving]:
        profile = Profile(network_hw, (self._fewest, self._fewest, self._fewest))
        return self._device, Halving(self._device, self._compiler, (profile,), "float32")

    def close(self) -> None:
        pass


@pytest.fixture
def clip(make_clip: Callable[..., Path]) -> str:
    return str(make_clip("clip.mp4", frames=10))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels run on the host: once is enough."""
    monkeypatch.setattr(gpu, "ENOUGH", 1e-9)
    monkeypatch.setattr(gpu, "LARGE", 2**20)
    monkeypatch.setattr(run, "ROUNDS", 2)
    monkeypatch.setattr(run, "SAMPLE", 2)


def test_a_whole_report(device: Device, compiler: Compiler, short: None, clip: str) -> None:
    engine = HalvingEngine(device, compiler)
    report = bench(engine, clip, 10, compiler=compiler)
    assert report.frames == 10
    assert set(report.stages_ms) == {"decode", "engine", "overlay", "encode"}
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["p90"] <= report.latency_ms["p99"]
    # The latency is that of a path of depth 1; the frames in memory and the whole pipeline have their own.
    assert engine.paths == [(SIZE, 1)] + [(SIZE, 3)] * 2 * report.rounds
    assert report.against == {}
    assert set(report.skipped) == {"onnxruntime", "torch", "torch-compile"}
    assert "give the network's file with --network" in report.skipped["torch"]
    assert json.loads(json.dumps(report.figures()))["gpu"]["batch"] == 1


def test_the_command_tells_and_draws_it(
    write: WritePlan,
    way: None,
    short: None,
    clip: str,
    compiler: Compiler,
    tmp_path: Path,
    rtparse: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    standin: StandIn,
) -> None:
    monkeypatch.setattr("rtparse.bench.bench", partial(bench, compiler=compiler))
    written = ("--json", tmp_path / "speed.json", "--chart", tmp_path / "speed.png")
    assert rtparse("bench", clip, "--engine", write(), "--frames", 10, *written) == 0
    told = capsys.readouterr()
    for row in (
        "network, launched anew",
        "network, as a graph",
        "upload",
        "letterbox_normalize_float_bgr",
        "scene_cut",
    ):
        assert row in told.out
    assert "torch was skipped: it cannot run" in told.err
    assert json.loads((tmp_path / "speed.json").read_text())["gpu"]["gpu"] == "stand-in"
    assert cv2.imread(str(tmp_path / "speed.png")).shape[1] == 1200
    gc.collect()
    assert standin.wrong() == {}


@pytest.fixture
def timed(device: Device, compiler: Compiler, short: None) -> GpuBench:
    letterbox = Letterbox.fit((72, 128), SIZE)
    return GpuBench(HalvingEngine(device, compiler), letterbox, compiler)


def test_every_kernel_is_timed_against_a_copy_of_as_many_bytes(timed: GpuBench) -> None:
    with timed:
        rounds = [timed.round() for _ in range(2)]
        report = timed.report(rounds)
    measured = {kernel for kernel in MACROS for entry in report.kernels if entry.startswith(kernel)}
    assert measured == set(MACROS)
    pixels, planes = 72 * 128, 3 * 64 * 96 * 4
    seconds = np.median([each["letterbox_normalize_float_bgr"] for each in rounds])
    copy = np.median([each["copy for letterbox_normalize_float_bgr"] for each in rounds])
    speed = report.kernels["letterbox_normalize_float_bgr"]
    assert speed.us == pytest.approx(seconds * 1e6)
    assert speed.gbps == pytest.approx((3 * pixels + planes) / seconds / 1e9)
    assert speed.of_copy == pytest.approx(copy / seconds)
    assert report.upload_gbps == pytest.approx(3 * pixels / np.median([each["upload"] for each in rounds]) / 1e9)
    assert report.download_gbps == pytest.approx(pixels / np.median([each["download"] for each in rounds]) / 1e9)
    assert report.copy_gbps == pytest.approx(2**21 / np.median([each["copy"] for each in rounds]) / 1e9)
    assert report.engine_ms == pytest.approx(1000 * np.median([each["anew"] for each in rounds]))
    assert report.engine_graph_ms == pytest.approx(1000 * np.median([each["replayed"] for each in rounds]))
    assert report.engine_fps == pytest.approx(1000 / min(report.engine_ms, report.engine_graph_ms))


def test_a_batch_is_the_fewest_that_the_engine_takes(device: Device, compiler: Compiler, short: None) -> None:
    engine = HalvingEngine(device, compiler, fewest=2)
    with GpuBench(engine, Letterbox.fit((72, 128), SIZE), compiler) as timed:
        report = timed.report([timed.round()])
    assert report.batch == 2
    assert report.engine_fps == pytest.approx(2000 / min(report.engine_ms, report.engine_graph_ms or 1e9))


def test_a_network_that_cannot_be_recorded_is_timed_without(timed: GpuBench, standin: StandIn) -> None:
    with timed:
        standin.fail("cuGraphInstantiateWithFlags", code=801)
        report = timed.report([timed.round()])
    assert report.engine_graph_ms is None
    assert report.engine_fps == pytest.approx(1000 / report.engine_ms)


def test_each_part_is_run_as_often_as_the_clock_needs(
    timed: GpuBench, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "ENOUGH", 1.0)
    monkeypatch.setattr(gpu, "MOST", 7)
    with timed:
        timed.round()
        standin.zero()
        timed.round()
        counts = standin.counts()
    # To be warm, to know how long it takes, recorded once and replayed twice.
    assert counts["calls:cuMemcpyHtoDAsync"] == 2 + 7
    assert counts["calls:cuGraphLaunch"] > 2 * len(MACROS)


@pytest.mark.parametrize(
    ("call", "nth", "code", "error"),
    [
        ("cuMemAlloc", 9, 2, DeviceMemoryError),
        ("cuEventElapsedTime", 5, 719, DeviceError),
        ("cuLaunchKernel", 3, 719, DeviceError),
    ],
)
def test_whatever_fails_everything_is_freed(
    standin: StandIn,
    compiler: Compiler,
    short: None,
    clip: str,
    call: str,
    nth: int,
    code: int,
    error: type[DeviceError],
) -> None:
    with Device() as device:
        engine = HalvingEngine(device, compiler)
        for _ in range(2):  # PyCUDA tries once more to find memory
            standin.fail(call, nth, code=code, lost=False)
        with pytest.raises(error):
            bench(engine, clip, 10, compiler=compiler)
    standin.zero()  # of a lost GPU the end of the context frees what was left


def test_events_tell_the_time_between_them(device: Device) -> None:
    with Stream(device) as stream, DeviceBuffer(device, (2**22,), np.uint8) as buffer:
        start, middle, end = (Event(device, timed=True) for _ in range(3))
        host = HostBuffer(device, (2**22,), np.uint8)
        stream.record(start)
        stream.upload(buffer.array, host.array)
        stream.record(middle)
        stream.upload(buffer.array, host.array)
        stream.record(end)
        stream.synchronize()
        first, second = middle.seconds_since(start), end.seconds_since(middle)
        assert 0 < first < 10
        assert end.seconds_since(start) == pytest.approx(first + second, rel=1e-3)


def test_events_that_are_not_timed_or_not_reached_tell_no_time(device: Device, standin: StandIn) -> None:
    with Stream(device) as stream, Event(device, timed=True) as start, Event(device, timed=True) as end:
        with pytest.raises(DeviceError, match="invalid resource handle"):
            end.seconds_since(start)
        standin.delay(100)
        stream.record(start)
        stream.record(end)
        with pytest.raises(DeviceError, match="not ready"):
            end.seconds_since(start)
        with Event(device) as plain:
            stream.record(plain)
            stream.synchronize()
            with pytest.raises(DeviceError, match="invalid resource handle"):
                plain.seconds_since(start)
    standin.zero()
