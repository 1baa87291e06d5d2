"""`--effect`: the frame itself changes, as the functions of `rtparse.effects` change it."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parsing
from rtparse.effects import blur, cutout, pixelate, recolour


@pytest.fixture
def photo(folder: Path, people: NDArray[np.uint8]) -> Path:
    cv2.imwrite(str(folder / "photo.png"), people)
    return folder / "photo.png"


def parsed(photo: Path, mask: Path) -> Parsing:
    labels = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    return Parsing(Frame(cv2.imread(str(photo))), labels)


def test_effects_on_an_image_are_the_functions_in_their_order(rtparse, folder: Path, photo: Path) -> None:
    given = ("--effect", "recolour:upper-clothes,coat,dress,pants=#aa3300", "--effect", "pixelate:face,hair,left-arm")
    done = rtparse("image", photo, *given, "--masks", "m")
    assert done.returncode == 0, done.stderr
    parsing = parsed(photo, folder / "m" / "000000.png")
    recoloured = recolour(parsing.frame.image, parsing, ["upper-clothes", "coat", "dress", "pants"], (0, 0x33, 0xAA))
    expected = pixelate(recoloured, parsing, ["face", "hair", "left-arm"])
    assert (expected != parsing.frame.image).any()
    np.testing.assert_array_equal(cv2.imread(str(folder / "photo.parsed.png")), expected)


def test_a_cutout_of_an_image_is_a_png_with_alpha(rtparse, folder: Path, photo: Path) -> None:
    done = rtparse("image", photo, "--effect", "cutout", "--masks", "m")
    assert done.returncode == 0, done.stderr
    parsing = parsed(photo, folder / "m" / "000000.png")
    read = cv2.imread(str(folder / "photo.parsed.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, cutout(parsing.frame.image, parsing))
    assert {0, 255} <= set(np.unique(read[:, :, 3]).tolist())


def test_a_video_with_a_hidden_class_has_no_overlay(rtparse, clip: Path, folder: Path) -> None:
    everything = ",".join(CLASSES[1:])
    done = rtparse("video", clip, "-o", "out.mp4", "--masks", "m", "--effect", f"blur:{everything}")
    assert done.returncode == 0, done.stderr
    with av.open(str(clip)) as before, av.open(str(folder / "out.mp4")) as after:
        assert after.streams.audio[0].codec_context.name == "aac"
        pairs = list(zip(before.decode(video=0), after.decode(video=0), strict=True))
    assert len(pairs) == 12
    image, shown = (frame.to_ndarray(format="bgr24") for frame in pairs[6])
    labels = cv2.imread(str(folder / "m" / "000006.png"), cv2.IMREAD_UNCHANGED)
    expected = blur(image, Parsing(Frame(image), labels), CLASSES[1:])
    assert np.abs(shown.astype(int) - expected).mean() < 3
    assert np.abs(shown.astype(int) - image)[labels > 0].mean() > 10


@pytest.mark.parametrize("output", [None, "out.webm", "frames"])
def test_a_cutout_of_a_video(rtparse, clip: Path, folder: Path, output: str | None) -> None:
    mine = folder / "mine.mp4"
    mine.write_bytes(clip.read_bytes())
    done = rtparse("video", mine, "--effect", "cutout", *(["-o", output] if output else []))
    assert done.returncode == 0, done.stderr
    written = folder / (output or "mine.parsed.mov")
    assert sorted(path.name for path in folder.iterdir()) == sorted(["mine.mp4", written.name])
    if output == "frames":
        alphas = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, :, 3] for path in sorted(written.iterdir())]
        again = rtparse("video", mine, "--effect", "cutout", "-o", "frames")
        assert (again.returncode, "frames is not empty" in again.stderr) == (2, True)
    else:
        with av.open(str(written)) as container:
            assert container.streams.audio[0].codec_context.name == ("aac" if output is None else "opus")
            video = container.streams.video[0]
            decoder = av.CodecContext.create("libvpx-vp9", "r") if output else video.codec_context
            packets = container.demux(video)
            frames = [frame for packet in packets for frame in decoder.decode(packet if packet.size else None)]
        alphas = [frame.to_ndarray(format="bgra")[:, :, 3] for frame in frames]
    assert len(alphas) == 12
    assert all(alpha.min() <= 6 and alpha.max() >= 249 for alpha in alphas)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--effect", "glow"], "no effect 'glow'"),
        (["--effect", "blur"], "expected blur:face,hair"),
        (["--effect", "blur:tail"], "no class 'tail'"),
        (["--effect", "background:none.jpg"], "none.jpg"),
        # alpha in a format that has none
        (["--effect", "cutout", "-o", "out.mp4"], ".mov, .webm or a folder"),
        (["--effect", "cutout", "--effect", "blur:face"], "put cutout last"),
        # options of views
        (["--effect", "cutout", "--alpha", "0.3"], "leave --alpha away"),
        (["--effect", "blur:face", "--view", "labels"], "leave --view away"),
    ],
)
def test_wrong_use_is_one_line_before_any_work(
    rtparse, clip: Path, folder: Path, options: list[str], word: str
) -> None:
    done = rtparse("video", clip, *([] if "-o" in options else ["-o", "out.mov"]), *options)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_a_jpeg_holds_no_cutout(rtparse, folder: Path, photo: Path) -> None:
    done = rtparse("image", photo, "--effect", "cutout", "-o", "out.jpg")
    assert done.returncode == 2
    assert "choose from: .png, .webp" in done.stderr
    assert not (folder / "out.jpg").exists()


def test_several_cutouts_are_named_after_their_inputs(rtparse, clip: Path, folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(clip.read_bytes())
    done = rtparse("video", "a.mp4", "b.mp4", "--effect", "cutout", "-o", "made", "--jsonl", "made")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (folder / "made").iterdir())
    assert names == ["a.jsonl", "a.parsed.mov", "b.jsonl", "b.parsed.mov"]
