"""Real files by real encoders; damage is done to their bytes."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from rtparse.errors import SourceError
from rtparse.frame import Frame
from rtparse.sources.video import VideoSource

MakeClip = Callable[..., Path]
QUADRANTS = np.array([[(0, 0, 255), (0, 255, 0)], [(255, 0, 0), (255, 255, 255)]], np.uint8)


def read(path: Path) -> tuple[list[Frame], VideoSource]:
    with VideoSource(path) as source:
        return list(source), source


def grey_of(frame: Frame) -> float:
    return float(frame.image[8:24].mean())


def quadrant_picture(_: int) -> NDArray[np.uint8]:
    return QUADRANTS.repeat(32, axis=0).repeat(48, axis=1)


def test_every_picture_comes_once_in_order_with_its_time(make_clip: MakeClip) -> None:
    frames, source = read(make_clip("clip.mp4", frames=26))
    assert [frame.index for frame in frames] == list(range(26))
    assert [frame.pts for frame in frames] == [index / 25 for index in range(26)]
    np.testing.assert_allclose([grey_of(frame) for frame in frames], [20 + 8 * index for index in range(26)], atol=4)
    assert all(frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous for frame in frames)
    info = source.info
    assert (info.width, info.height, info.fps, info.frame_count, info.duration) == (96, 64, 25, 26, 1.04)
    assert not info.audio
    assert not info.live
    assert source.damage == ()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
def test_a_variable_frame_rate_is_kept_exactly(make_clip: MakeClip, name: str) -> None:
    times = [Fraction(n, 1000) for n in (0, 33, 67, 167, 168, 500, 1000, 1033)]
    frames, source = read(make_clip(name, times=times, options={"bf": "0"}))
    assert source.info.time_base is not None
    assert [round(Fraction(frame.pts) / source.info.time_base) * source.info.time_base for frame in frames] == times
    assert source.damage == ()


def test_times_count_from_the_start_of_the_stream(make_clip: MakeClip) -> None:
    frames, _ = read(make_clip("late.ts", times=[5 + Fraction(n, 25) for n in range(10)]))
    np.testing.assert_allclose([frame.pts for frame in frames], np.arange(10) / 25, atol=1e-9)


def test_a_raw_stream_without_times_runs_at_its_rate(make_clip: MakeClip) -> None:
    frames, source = read(make_clip("raw.h264", options={"bf": "0"}, frames=10))
    np.testing.assert_allclose([frame.pts for frame in frames], np.arange(10) / 25, atol=1e-6)
    assert source.damage == ()


@pytest.mark.parametrize(
    ("degrees", "mirrored", "upended"), list(itertools.product((0, 90, 180, 270), (False, True), (False, True)))
)
def test_pictures_are_upright(make_clip: MakeClip, degrees: int, mirrored: bool, upended: bool) -> None:
    clip = make_clip("turned.mp4", picture=quadrant_picture, frames=3, rotation=(degrees, mirrored, upended))
    frames, source = read(clip)
    expected = np.rot90(QUADRANTS, degrees // 90)  # the file says: counter-clockwise, then mirrored, then upended
    expected = expected[:, ::-1] if mirrored else expected
    expected = expected[::-1] if upended else expected
    height, width = frames[0].size_hw
    assert (source.info.height, source.info.width) == (height, width) == ((96, 64) if degrees % 180 else (64, 96))
    seen = frames[0].image[height // 4 :: height // 2, width // 4 :: width // 2]
    np.testing.assert_array_equal(seen > 128, expected > 128)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "matrix", "tags"),
    [
        # BT.601, limited: DVD-like
        ("a.mp4", "libx264", "yuv420p", Colorspace.ITU601, {"colorspace": 6, "color_range": 1}),
        # BT.709, limited: most of today's video
        ("b.mp4", "libx264", "yuv420p", Colorspace.ITU709, {"colorspace": 1, "color_range": 1}),
        # full range in the pixel format, as phones and webcams have it
        ("c.mp4", "libx264", "yuvj420p", Colorspace.ITU601, {"colorspace": 5, "color_range": 2}),
        # full range in a tag alone
        ("d.webm", "libvpx-vp9", "yuv420p", Colorspace.ITU709, {"colorspace": 1, "color_range": 2}),
        # no matrix tag, small: BT.601
        ("e.mp4", "libx264", "yuv420p", Colorspace.ITU601, {}),
        # motion JPEG
        ("f.avi", "mjpeg", "yuvj420p", Colorspace.ITU601, {"color_range": 2}),
        # ten bits of BT.2020
        ("g.mov", "prores_ks", "yuv422p10le", 9, {"colorspace": 9, "color_range": 1}),
        # RGB, lossless
        ("h.mkv", "ffv1", "bgr0", Colorspace.DEFAULT, {}),
    ],
)
def test_colours_come_back(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, matrix: int, tags: dict[str, int]
) -> None:
    _encode_bars(tmp_path / name, BARS, codec, pix_fmt, matrix, tags)
    frames, _ = read(tmp_path / name)
    seen = frames[0].image[32, 8::16].astype(int)
    np.testing.assert_allclose(seen, BARS[0], atol=8)


def test_untagged_high_definition_is_read_as_bt709(tmp_path: Path) -> None:
    bars = np.repeat(BARS, 10, axis=1)
    _encode_bars(tmp_path / "hd.mp4", bars, "libx264", "yuv420p", Colorspace.ITU709, {})
    frames, _ = read(tmp_path / "hd.mp4")
    assert frames[0].size_hw == (64, 1280)
    np.testing.assert_allclose(frames[0].image[32, 8::16].astype(int), bars[0], atol=8)


BARS = np.array([[(b, g, r) for b in (0, 255) for g in (0, 255) for r in (40, 200)]], np.uint8)


def _encode_bars(
    path: Path, bars: NDArray[np.uint8], codec: str, pix_fmt: str, matrix: int, tags: dict[str, int]
) -> None:
    picture = np.repeat(np.repeat(bars, 16, axis=1), 64, axis=0)
    with av.open(path, "w") as output:
        options = {"crf": "5"} if codec.startswith("lib") else {}
        stream = output.add_stream(codec, rate=25, options=options, width=picture.shape[1], height=64)
        stream.pix_fmt = pix_fmt
        for field, value in tags.items():
            setattr(stream.codec_context, field, value)
        wanted = ColorRange.JPEG if tags.get("color_range") == 2 else ColorRange.MPEG
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            output.mux(stream.encode(frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=wanted)))
        output.mux(stream.encode(None))


@pytest.mark.parametrize(("codec", "pix_fmt"), [("prores_ks", "yuva444p10le"), ("qtrle", "argb"), ("png", "rgba")])
def test_alpha_is_laid_over_white(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    rgba = np.zeros((64, 96, 4), np.uint8)
    rgba[:, :48] = (200, 40, 40, 255)
    with av.open(tmp_path / "alpha.mov", "w") as output:
        stream = output.add_stream(codec, rate=25, width=96, height=64)
        stream.pix_fmt = pix_fmt
        output.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pix_fmt)))
        output.mux(stream.encode(None))
    frames, _ = read(tmp_path / "alpha.mov")
    np.testing.assert_allclose(frames[0].image[32, [24, 72]].astype(int), [(40, 40, 200), (255, 255, 255)], atol=10)


@pytest.mark.parametrize(("codec", "pix_fmt"), [("ffv1", "gray"), ("ffv1", "gray16le"), ("libx264", "gray")])
def test_grey_video_is_grey(make_clip: MakeClip, codec: str, pix_fmt: str) -> None:
    frames, _ = read(make_clip("grey.mkv", codec=codec, pix_fmt=pix_fmt, frames=3, color_range=2))
    np.testing.assert_allclose([grey_of(frame) for frame in frames], [20, 28, 36], atol=4)


def test_pictures_get_square_pixels(make_clip: MakeClip) -> None:
    frames, source = read(make_clip("wide.mp4", frames=2, sample_aspect_ratio=Fraction(4, 3)))
    assert frames[0].size_hw == (64, 128)
    assert (source.info.width, source.info.height) == (128, 64)


def test_an_animated_gif_is_a_video(make_clip: MakeClip) -> None:
    frames, _ = read(make_clip("clip.gif", codec="gif", pix_fmt="rgb8", frames=5))
    assert len(frames) == 5


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")]
)
def test_a_truncated_file_is_read_to_its_end_and_said_so(make_clip: MakeClip, name: str, codec: str) -> None:
    options = {"cpu-used": "8"} if codec == "libvpx-vp9" else {}
    tick = Fraction(1, 25 if name == "a.avi" else 60_000)  # AVI stores an empty picture for every tick without one
    clip = make_clip(name, frames=100, codec=codec, options=options, tick=tick)
    whole = clip.read_bytes()
    assert read(clip)[1].damage == ()
    clip.write_bytes(whole[: len(whole) * 6 // 10])
    frames, source = read(clip)
    assert 40 < len(frames) < 85
    assert any("the file ends early" in line for line in source.damage)
    assert np.all(np.diff([frame.pts for frame in frames]) > 0)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4")]
)
def test_corrupt_bytes_are_counted_and_the_rest_is_read(make_clip: MakeClip, name: str, codec: str) -> None:
    clip = make_clip(name, frames=100, codec=codec)
    data = bytearray(clip.read_bytes())
    for position in np.random.default_rng(1).integers(len(data) * 4 // 10, len(data) * 6 // 10, 30):
        data[position] ^= 0xFF
    clip.write_bytes(data)
    frames, source = read(clip)
    assert len(frames) > 80
    assert frames[-1].pts > 3.8
    assert any("errors" in line or "corrupt" in line for line in source.damage), source.damage


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda clip: clip.write_bytes(b""), "0 bytes"),
        (lambda clip: clip.write_text("not a video\n" * 100), "cannot be read as a video"),
        (lambda clip: clip.write_bytes(clip.read_bytes()[:500]), "cannot be read as a video"),
        (lambda clip: clip.write_bytes(clip.read_bytes()[:2000]), "no picture that can be decoded"),
    ],
    ids=["zero bytes", "text named mp4", "cut in its index", "cut in its first picture"],
)
def test_what_is_no_video_is_one_line(make_clip: MakeClip, spoil: Callable[[Path], object], said: str) -> None:
    clip = make_clip("bad.mp4")
    spoil(clip)
    with pytest.raises(SourceError, match=said) as caught:
        VideoSource(clip)
    assert "bad.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unfinished_recording_has_no_index(make_clip: MakeClip) -> None:
    clip = make_clip("unfinished.mov")  # with its index at the end
    clip.write_bytes(clip.read_bytes()[:-3000])
    with pytest.raises(SourceError, match="cannot be read as a video"):
        VideoSource(clip)


def test_a_text_file_is_not_played_as_terminal_art(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n" * 100)
    with pytest.raises(SourceError, match="text file"):
        VideoSource(tmp_path / "notes.txt")


def test_sound_alone_is_no_video(make_clip: MakeClip, tmp_path: Path) -> None:
    with av.open(make_clip("both.mp4", audio="aac")) as both, av.open(tmp_path / "sound.m4a", "w") as output:
        target = output.add_stream_from_template(both.streams.audio[0])
        for packet in both.demux(audio=0):
            if packet.dts is not None:
                packet.stream = target
                output.mux(packet)
    with pytest.raises(SourceError, match="only sound"):
        VideoSource(tmp_path / "sound.m4a")


def test_sound_is_announced(make_clip: MakeClip) -> None:
    assert read(make_clip("both.mp4", audio="aac"))[1].info.audio


def test_a_name_that_looks_like_a_protocol(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip("http:clip%03d.mp4", frames=2)
    monkeypatch.chdir(clip.parent)
    assert len(read(Path(clip.name))[0]) == 2


def test_pictures_are_freed_without_the_garbage_collector(make_clip: MakeClip) -> None:
    clip = make_clip("clip.mp4", frames=100, rotation=(90, False, False))
    gc.collect()
    gc.disable()
    try:
        with VideoSource(clip) as source:
            alive = [sum(type(thing) is av.VideoFrame for thing in gc.get_objects()) for _ in source]
    finally:
        gc.enable()
    assert max(alive) < 20


def test_close_ends_an_iteration_in_another_thread(make_clip: MakeClip) -> None:
    source = VideoSource(make_clip("clip.mp4", frames=200))
    begun = threading.Event()
    seen = []

    def consume() -> None:
        for frame in source:
            seen.append(frame.index)
            begun.set()
            if len(seen) == 5:
                closed.wait(10)

    closed = threading.Event()
    thread = threading.Thread(target=consume)
    thread.start()
    assert begun.wait(10)
    source.close()
    closed.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen) < 200
    source.close()
    assert list(source) == []


def test_the_real_clips(shared: Path) -> None:
    frames = 0
    with VideoSource(shared / "media" / "one-by-one-person-detection.mp4") as source:
        assert (source.info.width, source.info.height, source.info.frame_count) == (768, 432, 1394)
        for frame in source:
            assert frame.pts == frame.index / 10
            frames += 1
    assert frames == 1394
    assert source.damage == ()
    for clip in sorted((shared / "media").glob("asl-*.mkv")):
        pictures, signer = read(clip)
        assert len(pictures) == signer.info.frame_count
        assert signer.damage == ()
