"""Files with alpha, decoded again by FFmpeg and OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.effects import cutout
from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks import ImageSink, PngFolderSink, Sink, VideoSink
from rtparse.sources.base import SourceInfo


def parsings(size_hw: tuple[int, int] = (120, 160)) -> Iterator[Parsing]:
    """Four frames, a square of a class that moves by 8 pixels a frame over noise."""
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 256, (*size_hw, 3), np.uint8)
        labels = np.zeros(size_hw, np.uint8)
        labels[30:90, 40 + 8 * index : 100 + 8 * index] = 5
        image[labels > 0] = (30, 90, 200)
        yield Parsing(Frame(image, pts=index / 25, index=index), labels)


def view(parsing: Parsing) -> NDArray[np.uint8]:
    return cutout(parsing.frame.image, parsing)


def write(sink: Sink, given: Iterator[Parsing]) -> None:
    for parsing in given:
        sink.write(parsing)
    sink.finish()


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    """(H, W, 4) BGRA. FFmpeg's own VP9 decoder leaves alpha out; libvpx's, as browsers do, does not."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        if path.suffix == ".webm":
            assert stream.metadata["alpha_mode"] == "1"
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = [f for packet in container.demux(stream) for f in decoder.decode(packet if packet.size else None)]
        else:
            frames = list(container.decode(stream))
        assert frames[0].format.components[3].is_alpha
        return [frame.to_ndarray(format="bgra") for frame in frames]


@pytest.mark.parametrize(("name", "codec", "tolerance"), [("o.mov", "prores", 1), ("o.WEBM", "vp9", 30)])
def test_videos_hold_the_alpha_of_every_frame(tmp_path: Path, name: str, codec: str, tolerance: int) -> None:
    path = tmp_path / name
    write(VideoSink(path, SourceInfo("in", fps=Fraction(25)), view, alpha=True), parsings())
    assert [found.name for found in tmp_path.iterdir()] == [name]
    with av.open(path) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        assert container.duration == pytest.approx(160_000, abs=2000)
    pictures = pictures_of(path.rename(tmp_path / name.lower()))
    assert len(pictures) == 4
    for given, read in zip(parsings(), pictures, strict=True):
        expected = view(given)
        inner = cv2.erode(given.labels, np.ones((9, 9), np.uint8)) > 0
        outer = cv2.dilate(given.labels, np.ones((9, 9), np.uint8)) == 0
        assert np.abs(read[:, :, 3].astype(int) - expected[:, :, 3]).max() <= tolerance
        assert read[inner, 3].min() >= (255 if codec == "prores" else 249)
        assert read[outer, 3].max() <= (0 if codec == "prores" else 6)
        np.testing.assert_allclose(read[inner, :3].mean(0), (30, 90, 200), atol=4)
        np.testing.assert_allclose(read[inner, :3].astype(int) - (30, 90, 200), 0, atol=20)
        assert read[outer, :3].max() < 40  # nothing of the noise


@pytest.mark.parametrize("name", ["o.mov", "o.webm"])
def test_an_odd_size_with_alpha_is_padded(tmp_path: Path, name: str) -> None:
    write(VideoSink(tmp_path / name, SourceInfo("in"), view, alpha=True), parsings((121, 161)))
    assert pictures_of(tmp_path / name)[0].shape == (122, 162, 4)


def test_a_change_of_size_is_letterboxed_with_nothing(tmp_path: Path) -> None:
    first, second, *_ = parsings()
    narrow = Parsing(Frame(second.frame.image[:, :80], 0.04, 1), np.full((120, 80), 5, np.uint8))
    write(VideoSink(tmp_path / "o.mov", SourceInfo("in"), view, alpha=True), iter([first, narrow]))
    read = pictures_of(tmp_path / "o.mov")[1]
    assert (read[:, :36, 3] == 0).all()
    assert (read[:, 48:112, 3] == 255).all()


def test_a_folder_holds_a_png_a_frame_exactly(tmp_path: Path) -> None:
    sink = PngFolderSink(tmp_path / "frames", view)
    write(sink, parsings())
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"00000{n}.png" for n in range(4)]
    for given in parsings():
        read = cv2.imread(str(tmp_path / "frames" / f"{given.frame.index:06d}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(read, view(given))


@pytest.mark.parametrize(("name", "tolerance"), [("o.png", 0), ("o.webp", 8)])
def test_images_hold_alpha(tmp_path: Path, name: str, tolerance: int) -> None:
    given = next(parsings())
    write(ImageSink(tmp_path / name, view, alpha=True), iter([given]))
    read = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[:, :, 3], view(given)[:, :, 3])
    opaque = read[:, :, 3] == 255
    np.testing.assert_allclose(read[opaque, :3].astype(int), view(given)[opaque, :3], atol=tolerance)


def test_formats_without_alpha_are_refused(tmp_path: Path) -> None:
    for name in ("o.mp4", "o.m4v", "o.mkv", "o"):
        with pytest.raises(UsageError, match=r"with alpha cannot be written.*choose from: \.mov, \.webm or a folder"):
            VideoSink(tmp_path / name, SourceInfo("in"), view, alpha=True)
    for name in ("o.jpg", "o.jpeg", "o"):
        with pytest.raises(UsageError, match=r"with alpha cannot be written.*choose from: \.png, \.webp"):
            ImageSink(tmp_path / name, view, alpha=True)
    assert list(tmp_path.iterdir()) == []
