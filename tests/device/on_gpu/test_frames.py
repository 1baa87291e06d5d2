"""Frames through the GPU give the labels of the CPU's path, whatever is late, and cost what they must."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from halving import Halving, logits_of
from numpy.typing import NDArray

from rtparse.classes import CLASSES, PALETTE_RGB
from rtparse.device import Device, Stream
from rtparse.device.frames import FramePath, Overlay
from rtparse.device.kernels import Compiler
from rtparse.errors import DeviceError, DeviceMemoryError, EngineError, UsageError
from rtparse.frame import Frame
from rtparse.metadata import ModelMetadata
from rtparse.parsing import Parsing
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, preprocess
from rtparse.render import Renderer
from rtparse.sidecar import Profile

if TYPE_CHECKING:
    from standin_driver import StandIn

METADATA = ModelMetadata(name="halves", size_hw=(64, 96))
PROFILES = (Profile((64, 96), (1, 2, 4)), Profile((96, 64), (2, 2, 2)))

Given = tuple[NDArray[np.uint8], Letterbox]
MakePath = Callable[..., FramePath]


@pytest.fixture
def make_path(device: Device, compiler: Compiler) -> Iterator[MakePath]:
    """make_path(dtype="float32", depth=3, ...) -> a path that is closed at the end."""
    made = []

    def make(dtype: str = "float32", **options: Any) -> FramePath:
        made.append(
            FramePath(device, Halving(device, compiler, PROFILES, dtype), METADATA, compiler=compiler, **options)
        )
        return made[-1]

    yield make
    for path in made:
        path.close()


def picture(seed: int, height: int = 72, width: int = 128) -> NDArray[np.uint8]:
    """Random blocks, so that labels differ from place to place and from frame to frame."""
    blocks = np.random.default_rng(seed).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width].copy()


def boxed(image: NDArray[np.uint8], network_hw: tuple[int, int] = (64, 96)) -> Given:
    return image, Letterbox.fit(image.shape[:2], network_hw)


def on_cpu(image: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    logits = logits_of(preprocess(image, letterbox, METADATA)[None])[0]
    return Upsampler(letterbox, logits.shape[1:])(logits)


def agreement(found: NDArray[np.uint8] | None, given: Given) -> float:
    assert found is not None
    expected = on_cpu(*given)
    assert found.shape == expected.shape
    assert len(np.unique(expected)) > 5
    return float((found == expected).mean())


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("height", "width", "network_hw"),
    [
        (72, 128, (64, 96)),
        (128, 72, (96, 64)),  # filled up to a batch of two
        (61, 97, (64, 96)),  # odd sides
        (20, 30, (64, 96)),  # enlarged
    ],
)
def test_labels_are_the_cpus(make_path: MakePath, depth: int, height: int, width: int, network_hw: Any) -> None:
    path = make_path(depth=depth)
    for seed in range(3):
        given = boxed(picture(seed, height, width), network_hw)
        (parsed,) = path.submit([given]).result()
        assert parsed.overlay is None
        # Enlarged pixels may differ by one 8-bit level from OpenCV's, and ties by the last bit of a coordinate.
        assert agreement(parsed.labels, given) > (0.99 if height < 60 else 0.9995)


def test_half_precision_gives_nearly_the_same(make_path: MakePath) -> None:
    given = boxed(picture(0))
    (parsed,) = make_path("float16").submit([given]).result()
    assert agreement(parsed.labels, given) > 0.99


def stream_through(path: FramePath, frames: list[Given], ahead: int) -> list[float]:
    """The agreement of each frame, `ahead` of them on the way."""
    found, pending = [], []
    for given in frames:
        pending.append((path.submit([given]), given))
        if len(pending) == ahead:
            first, its = pending.pop(0)
            found.append(agreement(first.result()[0].labels, its))
    found += [agreement(first.result()[0].labels, its) for first, its in pending]
    return found


def mixed(count: int) -> list[Given]:
    return [boxed(picture(seed, 72 - seed % 3, 128 + seed % 2)) for seed in range(count)]


@pytest.mark.parametrize("delay", [0, 50, 90, 100])
def test_frames_that_overtake_each_other_keep_their_labels(make_path: MakePath, standin: StandIn, delay: int) -> None:
    path = make_path(depth=3)
    standin.delay(delay, seed=delay)
    assert min(stream_through(path, mixed(12), ahead=3)) > 0.9995


@pytest.mark.parametrize("missing", ["uploaded", "computed"])
def test_a_wait_that_is_missing_shows_in_the_labels(
    make_path: MakePath, standin: StandIn, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Without it the tests above would prove nothing."""
    path = make_path(depth=3)
    frames = mixed(6)
    stream_through(path, frames, ahead=1)
    events = {getattr(slot, missing) for slot in path._slots}
    wait = Stream.wait
    monkeypatch.setattr(Stream, "wait", lambda self, event: None if event in events else wait(self, event))
    standin.delay(90, seed=1)
    assert min(stream_through(path, frames[::-1], ahead=3)) < 0.99


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    ("labels", "overlay", "smooth", "downloads", "launches"),
    [
        (True, False, 0, 1, 2),
        (False, True, 0, 1, 3),
        (True, True, 0, 2, 3),
        (True, False, 0.5, 1, 5),  # whether the scene was cut is not asked by the host
    ],
)
def test_a_frame_costs_what_it_must(
    make_path: MakePath,
    standin: StandIn,
    depth: int,
    labels: bool,
    overlay: bool,
    smooth: float,
    downloads: int,
    launches: int,
) -> None:
    path = make_path(depth=depth, labels=labels, overlay=Overlay(PALETTE_RGB) if overlay else None, smooth=smooth)
    frames = mixed(6)
    for given in frames * depth:
        path.submit([given]).result()
    standin.zero()
    for given in frames:
        path.submit([given]).result()
    calls = {name[6:]: count / len(frames) for name, count in standin.counts().items() if name.startswith("calls:")}
    del calls["cuCtxPushCurrent"], calls["cuCtxPopCurrent"]
    between = {"cuEventRecord": 3, "cuStreamWaitEvent": 2} if depth > 1 else {"cuEventRecord": 1}
    assert calls == {
        "cuMemcpyHtoDAsync": 1,
        "cuLaunchKernel": launches,
        "cuGraphLaunch": 1,
        "cuMemcpyDtoHAsync": downloads,
        "cuEventSynchronize": 1,
        **between,
    }
    assert not {"pageable copies", "default stream", "device allocations", "host allocations"} & set(standin.counts())


def test_a_batch_holds_frames_of_several_sizes(make_path: MakePath) -> None:
    path = make_path()
    for seed in range(4):
        frames = [boxed(picture(seed)), boxed(picture(seed + 10, 61, 97)), boxed(picture(seed + 20, 64, 96))]
        parsed = path.submit(frames).result()
        assert min(agreement(each.labels, given) for each, given in zip(parsed, frames, strict=True)) > 0.9995


def test_the_overlay_is_the_renderers(make_path: MakePath) -> None:
    shown = np.zeros(len(CLASSES), bool)
    shown[5:12] = True
    path = make_path(overlay=Overlay(PALETTE_RGB, 0.4, shown))
    image, letterbox = boxed(picture(0))
    (parsed,) = path.submit([(image, letterbox)]).result()
    assert parsed.labels is not None
    assert parsed.overlay is not None
    render = Renderer("overlay", alpha=0.4, classes=CLASSES[5:12], legend=False)
    expected = render(Parsing(Frame(image), parsed.labels, CLASSES, PALETTE_RGB))
    assert np.abs(parsed.overlay.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("nth", [1, 2])  # of the network's input and its logits
def test_where_memory_is_short_a_path_takes_half(
    device: Device, compiler: Compiler, standin: StandIn, nth: int, caplog: pytest.LogCaptureFixture
) -> None:
    network = Halving(device, compiler, PROFILES, "float32")
    for _ in range(2):  # PyCUDA tries once more
        standin.fail("cuMemAlloc", nth, code=2)
    with FramePath(device, network, METADATA, compiler=compiler) as path:
        assert "batches are halved: the GPU has no" in caplog.text
        assert (path.most((64, 96)), path.most((96, 64))) == (2, 2)  # the second has no fewer
        frames = [boxed(picture(seed)) for seed in range(3)]
        for given, parsed in zip(frames, path.submit(frames[:2]).result(), strict=False):
            assert agreement(parsed.labels, given) > 0.9995
        with pytest.raises(UsageError, match="a batch of 3 frames; expected 2 at most"):
            path.submit(frames)


def test_where_memory_stays_short_there_is_no_path(device: Device, compiler: Compiler, standin: StandIn) -> None:
    network = Halving(device, compiler, PROFILES, "float32")
    for _ in range(4):  # PyCUDA tries once more each time
        standin.fail("cuMemAlloc", code=2)
    with pytest.raises(DeviceMemoryError, match=r"the GPU has no .* left: .* of 1024\.0 MiB are free"):
        FramePath(device, network, METADATA, compiler=compiler)


def test_results_belong_to_the_caller_and_are_taken_once(make_path: MakePath) -> None:
    path = make_path(depth=1)
    pending = path.submit([boxed(picture(0))])
    first = pending.result()[0].labels
    assert first is not None
    kept = first.copy()
    path.submit([boxed(picture(1))]).result()
    np.testing.assert_array_equal(first, kept)
    with pytest.raises(UsageError, match="taken already"):
        pending.result()


def test_a_result_that_nobody_takes_gives_its_place_back(make_path: MakePath) -> None:
    path = make_path(depth=2)
    frames = mixed(8)
    for given in frames:
        path.submit([given])
    assert min(stream_through(path, frames, ahead=2)) > 0.9995


def test_results_are_taken_in_any_order_and_thread(make_path: MakePath) -> None:
    path = make_path(depth=3)
    with ThreadPoolExecutor(3) as pool:
        for start in range(0, 9, 3):
            frames = mixed(9)[start : start + 3]
            pending = [path.submit([given]) for given in frames]
            taken = list(pool.map(lambda each: each.result()[0].labels, pending[::-1]))
            for labels, given in zip(taken, frames[::-1], strict=True):
                assert agreement(labels, given) > 0.9995


def test_threads_may_submit_side_by_side(make_path: MakePath) -> None:
    path = make_path(depth=3)
    with ThreadPoolExecutor(4) as pool:
        frames = mixed(16)
        found = pool.map(lambda given: path.submit([given]).result()[0].labels, frames)
        assert min(map(agreement, found, frames)) > 0.9995


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([boxed(picture(0), (32, 32))], r"inputs of \[\(32, 32\)\]; expected one of 64x96, 96x64"),
        ([boxed(picture(0)), boxed(picture(0), (96, 64))], r"inputs of \[\(64, 96\), \(96, 64\)\]"),
        ([], r"inputs of \[\]"),
        ([boxed(picture(0))] * 5, "a batch of 5 frames; expected 4 at most"),
        ([(picture(0, 71), boxed(picture(0))[1])], r"shape \(71, 128, 3\) .*; expected \(72, 128, 3\) uint8"),
    ],
)
def test_a_batch_that_does_not_fit_is_wrong_use(make_path: MakePath, frames: list[Given], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_path().submit(frames)


@pytest.mark.parametrize("depth", [1, 3])
def test_after_closing_it_says_so(make_path: MakePath, depth: int) -> None:
    path = make_path(depth=depth)
    pending = path.submit([boxed(picture(0))])
    path.close()
    path.close()
    with pytest.raises(EngineError, match="closed"):
        pending.result()
    with pytest.raises(EngineError, match="closed"):
        path.submit([boxed(picture(0))])


def test_closing_wakes_who_waits_for_a_place(make_path: MakePath) -> None:
    path = make_path(depth=1)
    kept = path.submit([boxed(picture(0))])
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(path.submit, [boxed(picture(1))]) for _ in range(2)]
        path.close()
        for each in waiting:
            with pytest.raises(EngineError, match="closed"):
                each.result(timeout=60)
    del kept


def use_it(compiler: Compiler) -> float:
    with Device() as device:
        network = Halving(device, compiler, PROFILES[:1], "float32")
        options: dict[str, Any] = {"overlay": Overlay(PALETTE_RGB), "smooth": 1e-9, "compiler": compiler}
        with FramePath(device, network, METADATA, **options) as path:
            return min(stream_through(path, mixed(2), ahead=2))


def test_everything_is_freed_whichever_call_fails(standin: StandIn, compiler: Compiler) -> None:
    use_it(compiler)
    standin.zero()
    assert use_it(compiler) > 0.9995
    calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    errors = 0
    for name in sorted(calls.keys() - {"cuInit", "cuDriverGetVersion", "cuDevicePrimaryCtxRelease"}):
        # Every third of those that are called often
        for nth in range(1, calls[name] + 1, 1 + 2 * (calls[name] > 20)):
            standin.zero()
            standin.fail(name, nth)
            try:
                agreed = use_it(compiler)
            except DeviceError:
                errors += 1
            else:
                assert agreed > 0.9995
            if standin.wrong():
                gc.collect()  # a device that could not be closed is closed when it is dropped
            wrong = standin.wrong()
            assert wrong.pop("leaked", 0) <= 1 * name.endswith(("Free", "FreeHost", "Destroy", "Unload")), (name, nth)
            assert wrong == {}, (name, nth)
    assert errors > 50
    standin.zero()


def test_channel_order_and_statistics_are_the_models(device: Device, compiler: Compiler) -> None:
    metadata = replace(METADATA, channel_order="bgr", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    image, letterbox = boxed(picture(0))
    with FramePath(device, Halving(device, compiler, PROFILES, "float32"), metadata, compiler=compiler) as path:
        labels = path.submit([(image, letterbox)]).result()[0].labels
    logits = logits_of(preprocess(image, letterbox, metadata)[None])[0]
    expected = Upsampler(letterbox, logits.shape[1:])(logits)
    assert (labels == expected).mean() > 0.9995
    assert (labels == on_cpu(image, letterbox)).mean() < 0.99
