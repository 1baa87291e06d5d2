"""A stream through the GPU gives what the CPU's gives, and ends as streams do."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event as Flag
from typing import TYPE_CHECKING

import numpy as np
import pytest
from halving import Halving, logits_of
from numpy.typing import NDArray

from rtparse.classes import CLASSES, PALETTE_RGB
from rtparse.device import Device
from rtparse.device.frames import FramePath
from rtparse.device.kernels import Compiler
from rtparse.engines.base import FrameEngine
from rtparse.errors import DeviceError, DeviceMemoryError, EngineError
from rtparse.frame import Frame
from rtparse.frame_stages import FrameStages
from rtparse.metadata import ModelMetadata
from rtparse.parsing import Parsing
from rtparse.pipeline import Pipeline
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, preprocess
from rtparse.sidecar import Profile
from rtparse.smoothing import Smoother

if TYPE_CHECKING:
    from standin_driver import StandIn

METADATA = ModelMetadata(name="halves", size_hw=(64, 96))
LANDSCAPE, PORTRAIT = (64, 96), (96, 64)


class HalvingEngine:
    def __init__(self, device: Device, compiler: Compiler) -> None:
        self._device = device
        self._compiler = compiler
        self.opened: list[tuple[tuple[int, int], int]] = []

    def frame_path(self, network_hw: tuple[int, int], *, depth: int, smooth: float) -> FramePath:
        self.opened.append((network_hw, depth))
        device, network = self.device_network(network_hw)
        return FramePath(device, network, METADATA, depth=depth, smooth=smooth, compiler=self._compiler)

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, Halving]:
        return self._device, Halving(self._device, self._compiler, (Profile(network_hw, (1, 1, 4)),), "float32")


@pytest.fixture
def engine(device: Device, compiler: Compiler) -> HalvingEngine:
    return HalvingEngine(device, compiler)


def letterbox(frame_hw: tuple[int, int]) -> Letterbox:
    return Letterbox.fit(frame_hw, LANDSCAPE if frame_hw[0] < frame_hw[1] else PORTRAIT)


def parsing(frame: Frame, labels: np.ndarray) -> Parsing:
    return Parsing(frame, labels, CLASSES, PALETTE_RGB)


def frames(count: int, source: int = 0, height: int = 36, width: int = 64) -> Iterator[Frame]:
    for index in range(count):
        blocks = np.random.default_rng((source, index)).integers(0, 255, (height // 4, width // 4, 3), np.uint8)
        yield Frame(blocks.repeat(4, 0).repeat(4, 1), index=index, source=source)


def check(parsed: Parsing) -> None:
    box = letterbox(parsed.frame.size_hw)
    logits = logits_of(preprocess(parsed.frame.image, box, METADATA)[None])[0]
    # The frames are enlarged: a pixel may differ by one 8-bit level from OpenCV's.
    assert (parsed.labels == Upsampler(box, logits.shape[1:])(logits)).mean() > 0.99


def pipeline(stages: FrameStages, *inputs: Iterator[Frame], batch: int = 1) -> Pipeline[Parsing]:
    return Pipeline(inputs, stages.stages, batch=batch, kind=stages.kind, stop=stages.close)


@pytest.mark.parametrize("latency", [False, True])
def test_frames_come_in_order_with_their_labels(engine: HalvingEngine, latency: bool) -> None:
    assert isinstance(engine, FrameEngine)
    with pipeline(FrameStages([engine], letterbox, parsing, latency=latency), frames(20)) as results:
        for index, parsed in enumerate(results):
            assert parsed.frame.index == index
            check(parsed)
    assert index == 19
    assert engine.opened == [(LANDSCAPE, 1 if latency else 3)]


def test_sources_of_several_shapes_share_the_gpu(engine: HalvingEngine) -> None:
    shapes = [(36, 64), (64, 36), (40, 64)]
    inputs = [frames(8, source, *shape) for source, shape in enumerate(shapes)]
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    with pipeline(FrameStages([engine], letterbox, parsing), *inputs, batch=4) as results:
        for parsed in results:
            check(parsed)
            seen[parsed.frame.source].append(parsed.frame.index)
    assert list(seen.values()) == [list(range(8))] * 3
    assert sorted(engine.opened) == [(LANDSCAPE, 3), (PORTRAIT, 3)]


def shots(source: int, shapes: list[tuple[int, int]], length: int = 4) -> Iterator[Frame]:
    """Shots of these heights and widths, each of one picture that flickers."""
    for number, (height, width) in enumerate(shapes):
        rng = np.random.default_rng((source, number))
        still = rng.integers(40, 200, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1)
        for index in range(number * length, (number + 1) * length):
            noise = rng.integers(-15, 16, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1)
            yield Frame((still + noise).astype(np.uint8), index=index, source=source)


class OnCpu:
    """Labels of one source's frames in order, as the CPU makes them; which of them began a mean."""

    def __init__(self, strength: float) -> None:
        self._smooth = Smoother(strength)
        self.began: list[int] = []

    def __call__(self, frame: Frame) -> NDArray[np.uint8]:
        box = letterbox(frame.size_hw)
        planes = preprocess(frame.image, box, METADATA)
        logits = logits_of(planes[None])[0]
        smoothed = self._smooth(planes, logits)
        if smoothed is logits:
            self.began.append(frame.index)
        return Upsampler(box, logits.shape[1:])(smoothed)


@pytest.mark.parametrize("latency", [False, True])
@pytest.mark.parametrize(
    "shapes",
    [
        [(36, 64)] * 3,  # scene cuts
        [(36, 64), (64, 36), (36, 64)],  # another size, and back
        [(36, 64), (40, 64), (36, 64)],  # another size, but not for the network
    ],
)
def test_smoothing_is_the_cpus(engine: HalvingEngine, latency: bool, shapes: list[tuple[int, int]]) -> None:
    on_cpu, plain = OnCpu(0.8), OnCpu(0)
    changed = []
    with pipeline(FrameStages([engine], letterbox, parsing, latency=latency, smooth=0.8), shots(0, shapes)) as results:
        for parsed in results:
            expected = on_cpu(parsed.frame)
            assert (parsed.labels == expected).mean() > 0.99
            changed.append((plain(parsed.frame) != expected).mean())
    assert on_cpu.began == [0, 4, 8]
    assert max(changed) > 0.03  # it would show


def test_each_source_has_its_own_mean(engine: HalvingEngine) -> None:
    shapes = [[(36, 64)] * 2, [(36, 64), (64, 36)], [(40, 64)] * 2]
    on_cpu = [OnCpu(0.8) for _ in shapes]
    inputs = [shots(source, each) for source, each in enumerate(shapes)]
    with pipeline(FrameStages([engine], letterbox, parsing, smooth=0.8), *inputs, batch=4) as results:
        for parsed in results:
            assert (parsed.labels == on_cpu[parsed.frame.source](parsed.frame)).mean() > 0.99
    assert [each.began for each in on_cpu] == [[0, 4]] * 3


def batch_of_four(index: int) -> list[Frame]:
    """One frame of each of four sources."""
    return [list(shots(source, [(36, 64)]))[index] for source in range(4)]


def test_where_memory_is_short_batches_are_halved(
    engine: HalvingEngine, standin: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    on_cpu = [OnCpu(0.8) for _ in range(4)]
    with FrameStages([engine], letterbox, parsing, smooth=0.8) as stages:
        send, receive = (stage.work for stage in stages.stages)
        for index in range(3):
            if index == 1:
                for _ in range(2):  # PyCUDA tries once more
                    standin.fail("cuMemAlloc", after=5, code=2)  # amid the seats of another slot
            for parsed in receive(send(batch_of_four(index))):
                assert (parsed.labels == on_cpu[parsed.frame.source](parsed.frame)).mean() > 0.99
            assert len(caplog.records) == (index > 0)
    assert "batches are halved: the GPU has no" in caplog.text


def test_where_memory_stays_short_the_amounts_are_told(engine: HalvingEngine, standin: StandIn) -> None:
    with FrameStages([engine], letterbox, parsing) as stages:
        send, receive = (stage.work for stage in stages.stages)
        receive(send(batch_of_four(0)))
        for _ in range(4):  # PyCUDA tries once more each time
            standin.fail("cuMemAlloc", code=2)
        with pytest.raises(DeviceMemoryError, match=r"the GPU has no .* left: .* of 1024\.0 MiB are free"):
            send(batch_of_four(1))


def test_leaving_early_frees_everything(engine: HalvingEngine, standin: StandIn) -> None:
    before = standin.wrong()
    for parsed in pipeline(FrameStages([engine], letterbox, parsing), frames(1000)):
        check(parsed)
        if parsed.frame.index == 2:
            break
    assert standin.wrong() == before


def test_memory_stays_flat(engine: HalvingEngine, standin: StandIn) -> None:
    live, made = [], []
    with pipeline(FrameStages([engine], letterbox, parsing), frames(300)) as results:
        for parsed in results:
            if parsed.frame.index % 100 == 50:
                counts = standin.counts()
                live.append({name: count for name, count in counts.items() if name.startswith("live:")})
                made.append(counts["device allocations"] + counts["host allocations"])
    assert live == live[:1] * 3
    assert made == made[:1] * 3


def test_a_gpu_that_is_lost_ends_the_stream_with_its_error(standin: StandIn, compiler: Compiler) -> None:
    with Device() as device:
        stages = FrameStages([HalvingEngine(device, compiler)], letterbox, parsing)
        results = pipeline(stages, frames(1000))
        next(results)
        standin.fail("cuEventSynchronize", code=719, lost=True)
        with pytest.raises(DeviceError, match="the GPU stopped working"):
            list(results)
    standin.heal()
    standin.zero()  # the context's end freed what was left


def test_closing_while_frames_are_on_the_way_wakes_everybody(engine: HalvingEngine) -> None:
    stages = FrameStages([engine], letterbox, parsing)
    reached = Flag()

    def endless() -> Iterator[Frame]:
        for frame in frames(1000):
            if frame.index == 5:
                reached.set()
            yield frame

    results = pipeline(stages, endless())
    next(results)
    reached.wait(60)
    results.close()
    with pytest.raises(EngineError, match="closed"):
        stages.stages[0].work(list(frames(1)))


def test_two_streams_run_side_by_side(engine: HalvingEngine) -> None:
    first, second = (pipeline(FrameStages([engine], letterbox, parsing), frames(6, source)) for source in range(2))
    with first, second:
        for left, right in zip(first, second, strict=True):
            check(left)
            check(right)
