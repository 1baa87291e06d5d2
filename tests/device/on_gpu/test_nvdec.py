"""Videos decoded on the GPU: the pictures, times and labels of the CPU's path, without an upload."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial, partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from build_pycuda import CannotBuildError
from halving import Halving, logits_of
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.device import Device
from rtparse.device.frames import FramePath
from rtparse.device.kernels import Compiler
from rtparse.device.network import DeviceNetwork
from rtparse.device.nvcodec import decodes, encodes, nvcodec
from rtparse.device.surfaces import SURFACES, DeviceFrame
from rtparse.engines.fake import FakeEngine
from rtparse.errors import DeviceError, MissingDependencyError, RtparseError, SourceError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.parsing import Parsing
from rtparse.sidecar import Profile
from rtparse.sources.nvdec import NvdecSource
from rtparse.sources.video import VideoSource
from tests.device.on_gpu.conftest import ON_STANDIN

if TYPE_CHECKING:
    from standin_driver import StandIn

REAL = ON_STANDIN and "RTPARSE_NVCODEC" in os.environ
METADATA = ModelMetadata(name="halves", size_hw=(64, 96))
SIZE = (64, 96)
MakeClip = Callable[..., Path]


class HalvingEngine(FakeEngine):
    """The network of halving.py, on the CPU and on the GPU."""

    def __init__(self, device: Device, compiler: Compiler) -> None:
        super().__init__(logits_of, metadata=METADATA, sizes=(SIZE,))
        self._device = device
        self._compiler = compiler

    def frame_path(self, network_hw: tuple[int, int], *, depth: int, smooth: float) -> FramePath:
        network = Halving(self._device, self._compiler, (Profile(network_hw, (1, 1, 2)),), "float32")
        return FramePath(self._device, network, METADATA, depth=depth, smooth=smooth, compiler=self._compiler)

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, DeviceNetwork]:
        raise NotImplementedError


@pytest.fixture
def nvdec(request: pytest.FixtureRequest, compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyNvVideoCodec, or on the stand-in driver what stands in for it, unless RTPARSE_NVCODEC names the real one."""
    for cached in (nvcodec, decodes, encodes):
        cached.cache_clear()
    if not ON_STANDIN:
        pytest.importorskip("PyNvVideoCodec")
        yield
        return
    request.getfixturevalue("standin")
    monkeypatch.setattr(NvdecSource, "__init__", partialmethod(NvdecSource.__init__, compiler=compiler))
    if REAL:
        import real_nvcodec

        try:
            real_nvcodec.install()
        except CannotBuildError as error:
            pytest.skip(str(error))
        yield
        gc.collect()
        assert real_nvcodec.living() == 0
    else:
        import standin_nvcodec

        standin_nvcodec.fail.clear()
        monkeypatch.setitem(sys.modules, "PyNvVideoCodec", standin_nvcodec)
        yield
        gc.collect()
        assert standin_nvcodec.sessions == []
    for cached in (nvcodec, decodes, encodes):
        cached.cache_clear()


@pytest.fixture
def fail(nvdec: None, standin: StandIn) -> dict[str, int]:
    """fail[name] = n: what stands in for PyNvVideoCodec fails after n calls."""
    if REAL:
        pytest.skip("makes a stand-in for PyNvVideoCodec fail")
    import standin_nvcodec

    return standin_nvcodec.fail


@pytest.fixture
def engine(nvdec: None, device: Device, compiler: Compiler) -> HalvingEngine:
    return HalvingEngine(device, compiler)


def blocks(index: int, height: int = 144, width: int = 192) -> NDArray[np.uint8]:
    """Random colours in blocks that chroma and codecs keep."""
    rng = np.random.default_rng(index // 4)
    picture = rng.integers(40, 216, (height // 16 + 1, width // 16 + 1, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    return np.roll(picture, 2 * index, 1)[:height, :width].copy()


CLIPS: list[dict[str, Any]] = [
    {"name": "plain.mp4"},  # H.264, with B-frames
    {"name": "ten.mkv", "codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    {"name": "varying.mp4", "times": [Fraction(n * n, 300) for n in range(12)]},
    {"name": "full.mp4", "pix_fmt": "yuvj420p", "color_range": 2},
    {"name": "tagged.ts", "colorspace": 1, "color_range": 1},  # begins long after 0
    {"name": "web.webm", "codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
]


@pytest.fixture
def clip(make_clip: MakeClip) -> MakeClip:
    def make(name: str = "plain.mp4", **options: Any) -> Path:
        given = {"picture": blocks, "frames": 12, "options": {"crf": "12"}, **options}
        return make_clip(name, **given)

    return make


def close_to(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """Where FFmpeg interpolates chroma, edges of the blocks differ."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert np.median(difference) <= 3
    assert difference.mean() <= 4


@pytest.mark.parametrize("options", CLIPS, ids=lambda options: options["name"])
def test_pictures_and_times_are_those_of_the_cpu(nvdec: None, clip: MakeClip, options: dict[str, Any]) -> None:
    path = clip(**options)
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        assert source.on_gpu
        assert source.info == on_cpu.info
        count = 0
        for found, expected in itertools.zip_longest(source, on_cpu):
            assert isinstance(found, DeviceFrame)
            assert (found.pts, found.index, found.name) == (expected.pts, expected.index, expected.name)
            assert found.size_hw == expected.size_hw
            close_to(found.image, expected.image)
            count += 1
        assert count == 12
        assert source.damage == on_cpu.damage == ()


def parsed_by_cpu(path: Path, **options: Any) -> list[Parsing]:
    return list(Parser(FakeEngine(logits_of, metadata=METADATA, sizes=(SIZE,)), **options).stream(path))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"latency": True},
        {"roi": (32, 16, 96, 64)},
        {"roi": (31, 17, 97, 63)},  # amid the lines and columns that share chroma
        {"smooth": 0.5},
    ],
    ids=str,
)
def test_labels_are_the_cpus(engine: HalvingEngine, clip: MakeClip, options: dict[str, Any]) -> None:
    path = clip()
    expected = parsed_by_cpu(path, **options)
    with Parser(engine, **options).stream(path) as stream:
        for found, other in zip(stream, expected, strict=True):
            assert isinstance(found.frame, DeviceFrame)
            assert found.frame.pts == other.frame.pts
            assert (found.labels == other.labels).mean() > 0.97  # colours differ by some levels
    assert len(expected) == 12
    assert len(np.unique(expected[0].labels)) > 5


def test_a_frame_costs_no_upload(engine: HalvingEngine, clip: MakeClip, standin: StandIn) -> None:
    path = clip(frames=40)
    counts = {}
    with Parser(engine).stream(path) as stream:
        for found in stream:
            counts[found.frame.index] = standin.counts()
    assert standin.counts()["downloads"] == 40  # the labels
    first, last = counts[15], counts[35]
    made = {name: last.get(name, 0) - first.get(name, 0) for name in last}
    assert made.get("uploads", 0) == 0
    assert abs(made["copies on the device"] - 2 * 20) <= 2 * SURFACES  # of what is decoded ahead: luma and chroma
    assert "pageable copies" not in last
    assert made.get("host allocations", 0) == 0
    assert made.get("device allocations", 0) <= 3  # as many pictures as are on the way


def test_several_videos_share_the_gpu(engine: HalvingEngine, clip: MakeClip) -> None:
    paths = [clip("first.mp4"), clip("second.mp4", frames=7)]
    expected = [parsed_by_cpu(path) for path in paths]
    seen = [0, 0]
    with Parser(engine).stream(paths) as stream:
        for found in stream:
            source = found.frame.source
            assert (found.labels == expected[source][seen[source]].labels).mean() > 0.97
            seen[source] += 1
    assert seen == [12, 7]


@pytest.mark.parametrize("delay", [0, 100])
def test_kept_frames_stay_and_go(engine: HalvingEngine, clip: MakeClip, standin: StandIn, delay: int) -> None:
    standin.delay(delay)
    path = clip(frames=SURFACES + 20)
    kept = list(Parser(engine).stream(path))
    with VideoSource(path) as on_cpu:
        for found, expected in zip(kept, on_cpu, strict=True):
            close_to(found.frame.image, expected.image)
    # Of more than that many the others came down at once.
    assert sum(isinstance(found.frame, DeviceFrame) for found in kept) == SURFACES
    assert standin.counts()["live:device memory"] > SURFACES


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rotation": (90, False, False)}, "turned"),
    ({**CLIPS[-1], "picture": partial(blocks, height=143, width=191)}, "odd sides, 191x143"),
    ({"pix_fmt": "yuv444p"}, "its pictures are yuv444p"),
    ({"sample_aspect_ratio": Fraction(4, 3)}, "not square"),
    ({"name": "raw.h264"}, "no times"),
    ({"name": "old.avi", "codec": "mpeg4", "options": {}}, "NVDEC does not decode mpeg4"),
    ({"pix_fmt": "yuv420p10le"}, "does not decode h264 of 10 bits"),
    ({"picture": partial(blocks, height=32, width=32)}, "decodes h264 from 48x16 to 8192x8192"),
]


@pytest.mark.parametrize(("options", "why"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_nvdec_does_not_take_is_decoded_by_the_cpu(
    nvdec: None, standin: StandIn, clip: MakeClip, caplog: pytest.LogCaptureFixture, options: dict[str, Any], why: str
) -> None:
    path = clip(**options)
    caplog.set_level("INFO", "rtparse")
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        assert not source.on_gpu
        assert source.info == on_cpu.info
        assert why in caplog.text
        same_frames(source, on_cpu)
    with pytest.raises(SourceError, match=r"is not decoded by NVDEC: .*leave --decode nvdec away") as told:
        NvdecSource(path, required=True)
    assert why in str(told.value)


def same_frames(source: VideoSource, on_cpu: VideoSource) -> tuple[int, int]:
    """How many there are, and how many of them were decoded on the GPU."""
    count = there = 0
    for found, expected in itertools.zip_longest(source, on_cpu):
        assert (found.pts, found.index) == (expected.pts, expected.index)
        close_to(found.image, expected.image)
        count += 1
        there += isinstance(found, DeviceFrame)
    return count, there


@pytest.mark.parametrize("call", [0, 1, 5, 11, 12])  # the last: when all packets are in
def test_where_it_fails_midway_the_cpu_goes_on(
    fail: dict[str, int], clip: MakeClip, caplog: pytest.LogCaptureFixture, call: int
) -> None:
    path = clip(options={"crf": "12", "g": "4"})
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        fail["Decode"] = call
        count, there = same_frames(source, on_cpu)
        assert count == 12
        assert there <= call
        assert source.damage == ()
    assert "is decoded on the CPU from here on: NVDEC cannot decode" in caplog.text
    assert "the stand-in was told to fail" in caplog.text


def test_where_it_cannot_begin_the_cpu_does_it(fail: dict[str, int], clip: MakeClip) -> None:
    path = clip()
    for name in ("GetDecoderCaps", "CreateDecoder"):
        fail[name] = 0
        with NvdecSource(path) as source, VideoSource(path) as on_cpu:
            assert not source.on_gpu
            assert same_frames(source, on_cpu) == (12, 0)


def test_what_comes_after_a_corrupt_packet_is_the_cpus(
    nvdec: None, clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    path = clip("damaged.ts", frames=24, options={"crf": "12", "g": "8"})
    content = bytearray(path.read_bytes())
    packets = len(content) // 188
    for packet in range(packets // 2, packets // 2 + 3):
        content[packet * 188 + 1] |= 0x80  # the transport says that it is broken
        content[packet * 188 + 40 : packet * 188 + 120] = bytes(80)
    path.write_bytes(content)
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        count, there = same_frames(source, on_cpu)
        assert 0 < there < count
        assert source.damage == on_cpu.damage != ()
    assert "on the CPU from here on: a packet is corrupt" in caplog.text


def test_what_ends_early_ends_early(nvdec: None, clip: MakeClip) -> None:
    path = clip(frames=30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        same_frames(source, on_cpu)
        assert source.damage[-1] == on_cpu.damage[-1] != ()


def test_pictures_of_another_size_are_the_cpus(
    nvdec: None, clip: MakeClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [clip("small.ts"), clip("large.ts", picture=partial(blocks, height=160, width=208))]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with NvdecSource(path) as source, VideoSource(path) as on_cpu:
        expected = [(frame.size_hw, frame.pts) for frame in on_cpu]
        found = [(frame.size_hw, frame.pts, isinstance(frame, DeviceFrame)) for frame in source]
    assert [each[:2] for each in found] == expected
    assert {each[0] for each in expected} == {(144, 192), (160, 208)}
    there = [each[2] for each in found]
    assert there == sorted(there, reverse=True)
    assert 0 < sum(there) <= 12
    # Where the parts meet the transport may miss a packet as well.
    assert "on the CPU from here on: the stream's parameters change" in caplog.text or "is corrupt" in caplog.text


def play(engine: HalvingEngine, path: Path) -> int:
    frames = 0
    with Parser(engine, decode="nvdec").stream(path) as stream:
        for found in stream:
            frames += found.frame.image.shape == (144, 192, 3)
    return frames


def test_everything_is_freed_whichever_call_fails(
    fail: dict[str, int], standin: StandIn, compiler: Compiler, clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(frames=3)

    def run() -> int:
        with Device() as device:
            return play(HalvingEngine(device, compiler), path)

    assert run() == 3
    standin.zero()
    assert run() == 3
    calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    left_to_pycuda = {"cuInit", "cuDriverGetVersion", "cuDevicePrimaryCtxRelease"}  # see test_failures.py
    failed = 0
    monkeypatch.setattr(logging.getLogger("rtparse"), "disabled", True)  # pytest keeps what errors keep
    for name in sorted(calls.keys() - left_to_pycuda):
        for nth in sorted({1, calls[name] * 2 // 3 or 1}):
            gc.collect()
            standin.zero()
            standin.fail(name, nth)
            try:
                found = run()
            except RtparseError:
                failed += 1
            else:
                assert found == 3, (name, nth)
            standin.heal()
            gc.collect()
            wrong = standin.wrong()
            if wrong.pop("leaked", 0):  # what PyCUDA could not free ends with the context
                assert name in {"cuMemFree", "cuMemFreeHost", "cuStreamDestroy", "cuEventDestroy", "cuModuleUnload"}
            assert wrong == {}, (name, nth)
    assert failed > 12
    standin.zero()


def test_the_parser_says_what_it_cannot_do(engine: HalvingEngine, clip: MakeClip, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="decode is 'gpu'; choose auto, cpu or nvdec"):
        Parser(engine, decode="gpu")
    with pytest.raises(UsageError, match="got decode nvdec and follow"):
        Parser(engine, decode="nvdec", follow=True)
    with pytest.raises(UsageError, match="got decode nvdec and an engine of the kind fake; NVDEC decodes for plans"):
        Parser(FakeEngine(logits_of, metadata=METADATA, sizes=(SIZE,)), decode="nvdec")
    with pytest.raises(UsageError, match=r"NVDEC cannot decode .*; it decodes video files; choose auto or cpu"):
        Parser(engine, decode="nvdec").stream([[blocks(0)], [blocks(1)]])
    on_cpu = Parser(engine, decode="cpu").open(clip())
    assert type(on_cpu) is VideoSource
    on_cpu.close()


def test_what_is_missing_is_told(
    engine: HalvingEngine, clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = clip()
    nvcodec.cache_clear()
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(MissingDependencyError, match=r'PyNvVideoCodec is not installed; run: pip install "rtparse\[nv'):
        Parser(engine, decode="nvdec")
    with Parser(engine).stream(path) as stream:  # nobody asked for it
        assert not any(isinstance(found.frame, DeviceFrame) for found in stream)
    assert caplog.text == ""


def test_a_package_that_cannot_be_loaded_is_told(
    engine: HalvingEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # As the real one fails without a driver.
    (tmp_path / "PyNvVideoCodec.py").write_text(
        "import logging\nlogging.getLogger(__name__).error('no')\n"
        "raise RuntimeError('libnvidia-encode.so.1: cannot open shared object file\\n\\n=== TROUBLESHOOTING STEPS ===')"
    )
    nvcodec.cache_clear()
    monkeypatch.delitem(sys.modules, "PyNvVideoCodec", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        DeviceError, match=r"cannot be loaded \(libnvidia-encode\.so\.1: .*\); update the NVIDIA driver"
    ):
        Parser(engine, decode="nvdec")
    assert capfd.readouterr().err == ""
