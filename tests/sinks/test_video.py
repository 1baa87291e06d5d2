"""What is written is read back by FFmpeg, not by our own sources, except where times are compared."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import SinkError, UsageError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.video import VideoSink
from rtparse.sources import open_source
from rtparse.sources.base import SourceInfo

MakeClip = Callable[..., Path]


def view(parsing: Parsing) -> NDArray[np.uint8]:
    return parsing.frame.image


def parsing(frame: Frame) -> Parsing:
    return Parsing(frame, np.zeros(frame.size_hw, np.uint8))


def convert(clip: Path, output: Path, first: int | None = None) -> None:
    """Everything of `clip` (or its first frames) into `output`, as the command line does it."""
    with open_source(clip) as source:
        sink = VideoSink(output, source.info, view, str(clip) if source.info.audio else None)
        for frame in source:
            if first is not None and frame.index == first:
                break
            sink.write(parsing(frame))
        sink.finish()


def write(output: Path, pictures: Sequence[NDArray[np.uint8]], info: SourceInfo | None = None) -> None:
    sink = VideoSink(output, info or SourceInfo("pictures", fps=Fraction(25)), view)
    for index, picture in enumerate(pictures):
        sink.write(parsing(Frame(picture, pts=index / 25, index=index)))
    sink.finish()


class Track(NamedTuple):
    codec: str
    start: float
    end: float
    samples: int
    times: list[float]


def track(path: Path, kind: str) -> Track:
    with av.open(path) as container:
        stream = container.streams.best(kind)
        assert stream is not None
        frames = list(container.decode(stream))
        last = frames[-1].samples / frames[-1].sample_rate if kind == "audio" else 0
        times = [float(frame.pts * frame.time_base) for frame in frames]
        samples = sum(frame.samples for frame in frames) if kind == "audio" else 0
        return Track(stream.codec_context.codec.canonical_name, times[0], times[-1] + last, samples, times)


def packets(path: Path) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0)]


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_browsers_play_it(make_clip: MakeClip, tmp_path: Path) -> None:
    convert(make_clip("in.mkv", frames=30), tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert (context.name, context.pix_fmt, context.color_range) == ("h264", "yuv420p", 1)
        assert (video.frames, float(video.duration * video.time_base)) == (30, 1.2)
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert [path.name for path in tmp_path.iterdir()].count("out.mp4") == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("name", "codec"), [("o.mp4", "h264"), ("o.m4v", "h264"), ("o.mov", "h264"), ("o.MKV", "h264"), ("o.webm", "vp9")]
)
def test_the_suffix_chooses_the_format(make_clip: MakeClip, tmp_path: Path, name: str, codec: str) -> None:
    convert(make_clip("in.mp4", frames=10, audio="aac"), tmp_path / name)
    assert track(tmp_path / name, "video").codec == codec
    assert track(tmp_path / name, "audio").codec == ("opus" if name == "o.webm" else "aac")


@pytest.mark.parametrize("height", [64, 720])
def test_colours_and_their_tags(tmp_path: Path, height: int) -> None:
    bars = np.array([[(b, g, r) for b in (0, 255) for g in (0, 255) for r in (40, 200)]], np.uint8)
    write(tmp_path / "out.mp4", [bars.repeat(16, axis=1).repeat(height, axis=0)] * 2)
    with av.open(tmp_path / "out.mp4") as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1 if height == 720 else 6, 1, 1)
    np.testing.assert_allclose(pictures_of(tmp_path / "out.mp4")[0][32, 8::16].astype(int), bars[0], atol=5)


@pytest.mark.parametrize("size_hw", [(33, 47), (48, 47), (33, 48), (1, 1)])
def test_odd_sizes_repeat_their_edge(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    write(tmp_path / "out.mp4", [np.full((height, width, 3), 200, np.uint8)] * 3)
    (first, *_) = pictures_of(tmp_path / "out.mp4")
    assert first.shape == (height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(first.astype(int), 200, atol=4)


def test_a_change_of_size_is_letterboxed(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [np.full(shape, 200, np.uint8) for shape in ((60, 80, 3), (60, 40, 3), (120, 160, 3))])
    first, narrow, large = pictures_of(tmp_path / "out.mp4")
    assert first.shape == narrow.shape == large.shape
    assert narrow[:, 30:50].min() > 180
    assert narrow[:, :15].max() < 30
    assert large.min() > 180


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_a_variable_frame_rate_and_the_last_picture_are_kept(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    times = [Fraction(n, 1000) for n in (0, 33, 67, 167, 168, 500, 1000, 1033)]
    clip = make_clip("in.mkv", times=times, options={"bf": "0"}, fps=2)  # the last one shows for half a second
    convert(clip, tmp_path / name)
    assert track(tmp_path / name, "video").times == [float(time) for time in times]
    with av.open(clip) as before, av.open(tmp_path / name) as after:
        assert before.duration == 1_533_000
        assert abs(after.duration - before.duration) <= 1000


def test_times_of_a_callers_own_frames_run_forward(tmp_path: Path) -> None:
    frames = [Frame(np.zeros((16, 16, 3), np.uint8), pts=0.0) for _ in range(5)]
    with open_source(frames) as source:
        sink = VideoSink(tmp_path / "out.mp4", source.info, view)
        for frame in source:
            sink.write(parsing(frame))
        sink.finish()
    np.testing.assert_allclose(track(tmp_path / "out.mp4", "video").times, np.arange(5) / 30, atol=1e-4)


def test_a_tick_of_a_damaged_file_is_not_kept_where_muxers_refuse_it(tmp_path: Path) -> None:
    tick = Fraction(788_529_153, 779_581_303)
    info = SourceInfo("damaged", fps=1 / tick, time_base=tick)
    sink = VideoSink(tmp_path / "out.mp4", info, view)
    times = [0.0, 24.275, 48.551]
    for index, pts in enumerate(times):
        sink.write(parsing(Frame(np.zeros((16, 16, 3), np.uint8), pts, index)))
    sink.finish()
    np.testing.assert_allclose(track(tmp_path / "out.mp4", "video").times, times, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "output", "kept"),
    [
        ("in.mp4", "aac", 48_000, "out.mp4", True),  # the usual case
        ("in.ts", "aac", 44_100, "out.mp4", True),  # with headers in the stream that MP4 does not want
        ("in.mkv", "libopus", 48_000, "out.mp4", True),
        ("in.mkv", "mp3", 44_100, "out.mp4", True),
        ("in.mkv", "flac", 48_000, "out.mp4", True),
        ("in.mov", "pcm_s16le", 48_000, "out.mp4", False),  # MP4 players refuse it
        ("in.mkv", "pcm_s16le", 96_000, "out.mkv", True),
        ("in.avi", "pcm_s16le", 37_800, "out.mp4", False),  # a rate that AAC has not
    ],
)
def test_sound_is_kept(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: str, rate: int, output: str, kept: bool
) -> None:
    tick = Fraction(1, 25 if name == "in.avi" else 60_000)
    clip = make_clip(name, frames=50, audio=codec, audio_rate=rate, tick=tick)
    convert(clip, tmp_path / output)
    before, after = track(clip, "audio"), track(tmp_path / output, "audio")
    assert after.codec == (before.codec if kept else "aac")
    # as seen from the pictures, which MPEG-TS starts at a time of its own
    pictures_before, pictures_after = track(clip, "video"), track(tmp_path / output, "video")
    assert after.start - pictures_after.start == pytest.approx(before.start - pictures_before.start, abs=0.03)
    assert after.end - pictures_after.start == pytest.approx(before.end - pictures_before.start, abs=0.03)
    if kept and name != "in.ts":  # whose packets lose the headers that MP4 does not want
        assert packets(tmp_path / output) == packets(clip)
    assert len(pictures_after.times) == 50
    if rate == 48_000:
        assert _tone_hz(tmp_path / output) == pytest.approx(440, abs=2)


def _tone_hz(path: Path) -> float:
    with av.open(path) as container:
        resampler = av.AudioResampler("flt", "mono", 48_000)
        wave = np.concatenate([r.to_ndarray()[0] for f in container.decode(audio=0) for r in resampler.resample(f)])
    middle = wave[24_000:72_000]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))))


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
@pytest.mark.parametrize("offset", [Fraction(7, 10), Fraction(-7, 10)], ids=["sound later", "sound earlier"])
def test_sound_and_pictures_keep_their_distance(
    make_clip: MakeClip, tmp_path: Path, name: str, offset: Fraction
) -> None:
    late = max(Fraction(0), -offset)
    times = [late + Fraction(index, 25) for index in range(50)]
    clip = make_clip(name, times=times, audio="aac", audio_start=max(Fraction(0), offset), audio_seconds=2.0)
    convert(clip, tmp_path / "out.mp4")
    distances = [track(path, "audio").start - track(path, "video").start for path in (clip, tmp_path / "out.mp4")]
    assert distances[0] == pytest.approx(offset, abs=0.03)
    assert distances[1] == pytest.approx(offset, abs=0.03)
    assert track(tmp_path / "out.mp4", "audio").end == pytest.approx(track(clip, "audio").end, abs=0.1)


@pytest.mark.parametrize("seconds", [0.5, 4.0], ids=["shorter than the pictures", "longer"])
def test_all_of_the_sound_comes_along(make_clip: MakeClip, tmp_path: Path, seconds: float) -> None:
    clip = make_clip("in.mp4", frames=50, audio="aac", audio_seconds=seconds)
    convert(clip, tmp_path / "out.mp4")
    assert track(tmp_path / "out.mp4", "audio").samples == track(clip, "audio").samples


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_where_the_pictures_stop_the_sound_stops(make_clip: MakeClip, tmp_path: Path, codec: str) -> None:
    clip = make_clip("in.mov", frames=150, audio=codec)
    convert(clip, tmp_path / "out.mp4", first=50)
    assert len(track(tmp_path / "out.mp4", "video").times) == 50
    assert track(tmp_path / "out.mp4", "audio").end == pytest.approx(2.0, abs=0.06)


def test_an_input_that_lost_its_sound_is_written_without(
    make_clip: MakeClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = VideoSink(tmp_path / "out.mp4", SourceInfo("in"), view, str(make_clip("silent.mp4", frames=2)))
    with caplog.at_level(logging.WARNING, "rtparse"):
        sink.write(parsing(Frame(np.zeros((16, 16, 3), np.uint8))))
    sink.finish()
    assert "without sound" in caplog.text
    assert len(pictures_of(tmp_path / "out.mp4")) == 1


def test_the_view_is_what_is_written(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", SourceInfo("in"), lambda p: np.full((20, 40, 3), 99, np.uint8))
    sink.write(parsing(Frame(np.zeros((16, 16, 3), np.uint8))))
    sink.finish()
    (picture,) = pictures_of(tmp_path / "out.mp4")
    np.testing.assert_allclose(picture.astype(int), np.full((20, 40, 3), 99), atol=3)


def test_no_frames_no_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", SourceInfo("in"), view)
    with pytest.raises(SinkError, match="no frames"):
        sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_abort_keeps_what_was_there(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"before")
    clip = make_clip("in.mp4", audio="aac")
    sink = VideoSink(tmp_path / "out.mp4", SourceInfo("in"), view, str(clip))
    for _ in range(3):
        sink.write(parsing(Frame(np.zeros((16, 16, 3), np.uint8))))
    sink.abort()
    assert (tmp_path / "out.mp4").read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "out.mp4"}


@pytest.mark.parametrize("name", ["out.wmv", "out"])
def test_an_unknown_suffix_is_wrong_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"choose from: \.mp4"):
        VideoSink(tmp_path / name, SourceInfo("in"), view)


FILL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from rtparse.errors import SinkError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.video import VideoSink
from rtparse.sources.base import SourceInfo

folder, limit, frames = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
noise = np.random.default_rng(0)
sink = VideoSink(folder / "out.mp4", SourceInfo("noise"), lambda parsing: parsing.frame.image)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # a write beyond it fails as on a full disk
try:
    for index in range(frames):
        picture = noise.integers(0, 255, (64, 64, 3), np.uint8)
        sink.write(Parsing(Frame(picture, pts=index / 25), np.zeros((64, 64), np.uint8)))
except SinkError as error:
    sink.abort()
    print("write:", error)
else:
    try:
        sink.finish()
    except SinkError as error:
        print("finish:", error)
print(sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.parametrize(("frames", "fails"), [(400, "write:"), (5, "finish:")])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, frames: int, fails: str) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path), "10000", str(frames)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    said, left = ran.stdout.splitlines()
    assert said.startswith(fails)
    assert "out.mp4 cannot be written (File too large)" in said
    assert left == "[]"
    assert ran.stderr == ""


def test_a_real_clip(shared: Path, tmp_path: Path) -> None:
    clip = shared / "media" / "asl-walk.mkv"
    convert(clip, tmp_path / "out.mp4")
    assert track(tmp_path / "out.mp4", "video").times == track(clip, "video").times
    with av.open(clip) as before, av.open(tmp_path / "out.mp4") as after:
        assert abs(after.duration - before.duration) <= 1000
    before_pictures, after_pictures = pictures_of(clip), pictures_of(tmp_path / "out.mp4")
    assert np.abs(before_pictures[40].astype(int) - after_pictures[40]).mean() < 4
