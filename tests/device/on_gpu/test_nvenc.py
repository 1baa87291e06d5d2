"""Overlays drawn and encoded on the GPU: the pictures of the CPU's sink, their times, and the sound."""

from __future__ import annotations

import gc
import logging
import sys
from contextlib import suppress
from fractions import Fraction
from functools import partial, partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.cli import encoding
from rtparse.cli.work import Job, run
from rtparse.device.kernels import Compiler
from rtparse.device.nvcodec import nvcodec
from rtparse.errors import DeviceError, MissingDependencyError, RtparseError, UsageError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.render import Renderer
from rtparse.sinks import VideoSink
from rtparse.sinks.nvenc import NvencSink
from rtparse.sources.base import SourceInfo
from tests.device.on_gpu.conftest import ON_STANDIN
from tests.device.on_gpu.test_nvdec import HalvingEngine, MakeClip, blocks, clip, engine, fail, nvdec

if TYPE_CHECKING:
    from standin_driver import StandIn

__all__ = ["clip", "engine", "fail", "nvdec"]


@pytest.fixture
def nvenc(nvdec: None, compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    if ON_STANDIN:
        monkeypatch.setattr(NvencSink, "__init__", partialmethod(NvencSink.__init__, compiler=compiler))


def write(engine: HalvingEngine, source: Path, target: Path, encode: str, view: str = "overlay") -> int:
    """As `rtparse video` does."""
    with Parser(engine) as parser:
        opened = parser.open(source)
        drawn = Renderer(view)
        sound = str(source) if opened.info.audio else None
        make = partial(encoding.video_sink, target, opened, drawn, sound, encode=encode, gpu=0, alpha=False)
        return run(parser, [Job(opened, {target: make})])


def decoded(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def alike(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """But for what encoders lose of labels in small pieces: alike brightness, and nowhere another colour."""
    assert found.shape == expected.shape
    difference = found.astype(int) - expected
    assert np.abs(difference.mean((0, 1))).max() < 2
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.975


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
@pytest.mark.parametrize(
    "options",
    [
        {"audio": "aac"},
        {"times": [Fraction(n * n, 300) for n in range(12)], "audio": "aac"},  # a rate that varies
    ],
    ids=["even", "varying"],
)
def test_the_video_is_the_cpus(
    engine: HalvingEngine, nvenc: None, clip: MakeClip, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    source, ours, theirs = clip(**options), tmp_path / name, tmp_path / f"cpu-{name}"
    assert write(engine, source, ours, "auto") == write(engine, source, theirs, "cpu") == 0
    found, expected = decoded(ours), decoded(theirs)
    assert [time for time, _ in found] == [time for time, _ in expected]
    for (_, picture), (_, other) in zip(found, expected, strict=True):
        alike(picture, other)
    with av.open(str(ours)) as mine, av.open(str(theirs)) as other_file:
        assert mine.streams.video[0].codec_context.codec.canonical_name == "h264"
        assert [bytes(packet) for packet in mine.demux(audio=0)] == [
            bytes(packet) for packet in other_file.demux(audio=0)
        ]
        assert abs(mine.duration - other_file.duration) <= 2000  # microseconds
        assert mine.streams.video[0].codec_context.extradata
    assert list(tmp_path.glob(".*")) == []


def test_nothing_but_labels_moves(
    engine: HalvingEngine, nvenc: None, clip: MakeClip, tmp_path: Path, standin: StandIn
) -> None:
    source = clip(frames=20)
    write(engine, source, tmp_path / "warm.mp4", "auto")
    standin.zero()
    assert write(engine, source, tmp_path / "out.mp4", "auto") == 0
    counts = standin.counts()
    assert counts["downloads"] == 20  # labels
    # Labels go up to be drawn, the palette once, the legend when it changes; before it, what the network needs.
    assert 20 < counts["uploads"] <= 20 + 10
    assert "pageable copies" not in counts


@pytest.mark.parametrize("view", ["labels", "side-by-side"])
def test_other_views_are_drawn_by_the_cpu(
    engine: HalvingEngine, nvenc: None, clip: MakeClip, tmp_path: Path, view: str
) -> None:
    source, ours, theirs = clip(), tmp_path / "out.mp4", tmp_path / "cpu.mp4"
    for path, encode in ((ours, "nvenc"), (theirs, "cpu")):
        assert write(engine, source, path, encode, view) == 0
    for (time, picture), (other_time, other) in zip(decoded(ours), decoded(theirs), strict=True):
        assert time == other_time
        alike(picture, other)


@pytest.mark.parametrize(
    ("target", "view", "of_gpu"),
    [
        ("out.mp4", "overlay", True),
        ("out.webm", "overlay", False),  # NVENC encodes no VP9
        ("out.mp4", "labels", False),  # drawn on the CPU
    ],
)
def test_it_is_chosen_where_it_saves_the_way_down(
    engine: HalvingEngine, nvenc: None, clip: MakeClip, tmp_path: Path, target: str, view: str, of_gpu: bool
) -> None:
    with Parser(engine).open(clip()) as source:
        sink = encoding.video_sink(tmp_path / target, source, Renderer(view), None, encode="auto", gpu=0, alpha=False)
        assert isinstance(sink, NvencSink) == of_gpu
        sink.abort()
    with Parser(engine, decode="cpu").open(clip()) as source:
        sink = encoding.video_sink(tmp_path / target, source, Renderer(), None, encode="auto", gpu=0, alpha=False)
        assert type(sink) is VideoSink
        sink.abort()


def parsing(index: int, height: int = 90, width: int = 120) -> Parsing:
    labels = np.zeros((height, width), np.uint8)
    labels[20:40, 30:70] = 2
    return Parsing(Frame(blocks(index, height, width), pts=index / 25, index=index), labels)


def test_pictures_of_the_host_are_encoded_too(nvenc: None, tmp_path: Path) -> None:
    sink = NvencSink(tmp_path / "out.mp4", SourceInfo("made", fps=Fraction(25)), Renderer())
    for index, size in enumerate([(90, 120), (90, 120), (61, 81), (90, 120)]):  # one is letterboxed
        sink.write(parsing(index, *size))
    sink.finish()
    found = decoded(tmp_path / "out.mp4")
    assert [time for time, _ in found] == [Fraction(n, 25) for n in range(4)]
    assert np.abs(found[1][1].astype(int) - Renderer()(parsing(1))).mean() < 5


def test_odd_sides_are_made_even(nvenc: None, tmp_path: Path) -> None:
    sink = NvencSink(tmp_path / "out.mp4", SourceInfo("made", width=121, height=91), Renderer())
    sink.write(parsing(0, 91, 121))
    sink.finish()
    assert decoded(tmp_path / "out.mp4")[0][1].shape == (92, 122, 3)


def test_large_pictures_become_hevc(nvenc: None, tmp_path: Path) -> None:
    sink = NvencSink(tmp_path / "out.mp4", SourceInfo("made", width=4480, height=64), Renderer())
    sink.write(parsing(0, 64, 4480))
    sink.finish()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == "hevc"
        assert sum(1 for _ in container.decode(video=0)) == 1


@pytest.mark.parametrize(
    ("name", "call"), [("GetEncoderCaps", 0), ("CreateEncoder", 0), ("Encode", 0), ("Encode", 3), ("EndEncode", 0)]
)
def test_what_fails_leaves_nothing_behind(
    nvenc: None, fail: dict[str, int], tmp_path: Path, name: str, call: int
) -> None:
    fail[name] = call

    def work() -> None:
        sink = NvencSink(tmp_path / "out.mp4", SourceInfo("made", width=120, height=90), Renderer())
        try:
            for index in range(5):
                sink.write(parsing(index))
        except BaseException:
            sink.abort()
            raise
        sink.finish()

    with pytest.raises(DeviceError, match=r"NVENC.*\(the stand-in was told to fail\)"):
        work()
    assert list(tmp_path.iterdir()) == []


def test_everything_is_freed_whichever_call_fails(
    nvenc: None, fail: dict[str, int], standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        sink = NvencSink(tmp_path / "out.mp4", SourceInfo("made", width=120, height=90), Renderer())
        try:
            sink.write(parsing(0))
        except BaseException:
            sink.abort()
            raise
        sink.finish()

    work()
    standin.zero()
    work()
    calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    monkeypatch.setattr(logging.getLogger("rtparse"), "disabled", True)  # pytest keeps what errors keep
    for name in sorted(calls.keys() - {"cuInit", "cuDriverGetVersion", "cuDevicePrimaryCtxRelease"}):
        standin.zero()
        standin.fail(name, calls[name] // 2 or 1)
        with suppress(RtparseError):
            work()
        standin.heal()
        gc.collect()  # a device that could not be closed is closed when it is dropped
        wrong = standin.wrong()
        if wrong.pop("leaked", 0):  # what PyCUDA could not free ends with the context
            assert name in {"cuMemFree", "cuMemFreeHost", "cuStreamDestroy", "cuEventDestroy", "cuModuleUnload"}
        assert wrong == {}, name
    standin.zero()


def test_wrong_use_is_told(nvenc: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"NVENC cannot encode .*out\.webm; choose \.mp4, \.mov or \.mkv"):
        encoding.check(tmp_path / "out.webm", "nvenc", alpha=False)
    with pytest.raises(UsageError, match="NVENC cannot encode alpha"):
        encoding.check(tmp_path / "out.mov", "nvenc", alpha=True)
    encoding.check(tmp_path / "out.webm", "auto", alpha=True)
    nvcodec.cache_clear()
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(MissingDependencyError, match=r'run: pip install "rtparse\[nvcodec\]"'):
        encoding.check(tmp_path / "out.mp4", "nvenc", alpha=False)
