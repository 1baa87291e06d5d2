"""`rtparse video` from outside: what it writes, and how it ends when something is wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
import pytest


def test_parsed_video_has_every_frame_the_sound_and_plays_in_browsers(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("video", clip, "-o", "out.mp4")
    assert done.returncode == 0, done.stderr
    assert "12 frames parsed: out.mp4" in done.stderr
    with av.open(str(clip)) as original, av.open(str(folder / "out.mp4")) as parsed:
        video = parsed.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (162, 120)
        assert parsed.streams.audio[0].codec_context.name == "aac"
        assert parsed.duration == pytest.approx(original.duration, rel=0.02)
        times = [frame.time for frame in parsed.decode(video)]
    assert times == pytest.approx([number / 10 for number in range(12)], abs=1e-3)
    assert sorted(path.name for path in folder.iterdir()) == ["out.mp4"]


def test_names_with_brackets_are_printed_whole(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("video", clip, "-o", "take[1] :up:.mp4")
    assert done.returncode == 0, done.stderr
    assert "take[1] :up:.mp4" in done.stderr
    assert (folder / "take[1] :up:.mp4").exists()


def test_masks_and_jsonl_agree(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("video", clip, "-o", "o.mp4", "--masks", "m", "--jsonl", "o.jsonl", "--rle", "--view", "labels")
    assert done.returncode == 0, done.stderr
    masks = sorted((folder / "m").iterdir())
    lines = [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()]
    assert len(masks) == len(lines) == 12
    assert [line["index"] for line in lines] == list(range(12))
    labels = cv2.imread(str(masks[5]), cv2.IMREAD_GRAYSCALE)
    assert labels.shape == (120, 162)
    assert labels.max() < 20
    shares = [found["share"] for found in lines[5]["classes"].values()]
    assert sum(shares) == pytest.approx((labels != 0).mean(), abs=1e-4)
    assert all("counts" in found["rle"] for found in lines[5]["classes"].values())


def test_default_name_is_beside_the_input_and_is_kept(rtparse, clip: Path, folder: Path) -> None:
    mine = Path(shutil.copy(clip, folder / "mine.mp4"))
    assert rtparse("video", mine).returncode == 0
    parsed = folder / "mine.parsed.mp4"
    before = parsed.stat().st_mtime_ns
    again = rtparse("video", mine)
    assert again.returncode == 2
    assert "mine.parsed.mp4 exists" in again.stderr
    assert "-y" in again.stderr
    assert parsed.stat().st_mtime_ns == before
    assert rtparse("video", mine, "-y").returncode == 0
    assert parsed.stat().st_mtime_ns > before


def bad_inputs(folder: Path) -> dict[str, tuple[list[object], int, str]]:
    """Name -> arguments, exit code, what the one line says."""
    (folder / "empty").mkdir()
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    (folder / "zero.mp4").touch()
    (folder / "text.onnx").write_text("no model")
    return {
        "missing file": ([folder / "none.mp4"], 2, "none.mp4"),
        "folder without images": ([folder / "empty"], 2, "empty"),
        "text named .mp4": ([folder / "text.mp4"], 1, "text.mp4"),
        "zero bytes": ([folder / "zero.mp4"], 1, "zero.mp4"),
        "no such camera": (["97"], 1, "camera 97"),
    }


@pytest.mark.parametrize(
    "case", ["missing file", "folder without images", "text named .mp4", "zero bytes", "no such camera"]
)
def test_bad_sources_end_in_one_line_and_leave_nothing(rtparse, folder: Path, case: str) -> None:
    inputs = folder / "inputs"
    inputs.mkdir()
    arguments, code, word = bad_inputs(inputs)[case]
    done = rtparse("video", *arguments, "-o", "out.mp4")
    assert done.returncode == code
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["inputs"]


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        # a class that LIP does not have
        (["--classes", "face,tail"], 2, "'tail'"),
        # a size off the network's stride
        (["--size", "250x190"], 2, "multiples of 16"),
        (["--engine", "none.onnx"], 2, "none.onnx"),
        (["--alpha", "2"], 2, "alpha"),
        (["--rle"], 2, "--jsonl"),
        (["-o", "missing/out.mp4"], 1, "missing"),
        (["-o", "out.txt"], 2, ".txt"),
        (["--decode", "gpu"], 2, "nvdec"),
        (["--decode", "nvdec"], 2, "NVDEC decodes for plans, and checkpoints on a GPU"),
        (["--encode", "nvenc", "-o", "out.webm"], 2, "choose .mp4, .mov or .mkv"),
        (["--encode", "nvenc", "--effect", "cutout", "-o", "out.mov"], 2, "NVENC cannot encode alpha"),
    ],
)
def test_wrong_options(rtparse, clip: Path, folder: Path, options: list[str], code: int, word: str) -> None:
    done = rtparse("video", clip, *(["-o", "out.mp4"] if "-o" not in options else []), *options)
    assert done.returncode == code, done.stderr
    assert word in done.stderr
    assert list(folder.iterdir()) == []


def test_the_input_is_never_overwritten(rtparse, clip: Path, folder: Path) -> None:
    mine = Path(shutil.copy(clip, folder / "mine.mp4"))
    before = mine.read_bytes()
    done = rtparse("video", mine, "-o", mine, "-y")
    assert done.returncode == 2
    assert mine.read_bytes() == before


def test_truncated_file_is_parsed_as_far_as_it_goes(rtparse, make_clip: Callable[..., Path], folder: Path) -> None:
    content = make_clip("whole.mkv", frames=50).read_bytes()
    (folder / "cut.mkv").write_bytes(content[: int(len(content) * 0.6)])
    done = rtparse("video", "cut.mkv", "-o", "out.mp4")
    assert done.returncode == 1
    assert "damaged input: cut.mkv: " in done.stderr
    with av.open(str(folder / "out.mp4")) as parsed:
        assert 10 < sum(1 for _ in parsed.decode(video=0)) < 50


def test_a_folder_of_pictures_becomes_a_video(rtparse, folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in (10, 9, 1):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((48, 64, 3), number * 20, np.uint8))
    done = rtparse("video", pictures)
    assert done.returncode == 0, done.stderr
    with av.open(str(folder / "pictures.parsed.mp4")) as parsed:
        levels = [frame.to_ndarray(format="gray").mean() for frame in parsed.decode(video=0)]
    assert len(levels) == 3
    assert levels == sorted(levels)  # 1, 9, 10: numbers, not letters


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_a_whole_file_and_exits_130(clip: Path, folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(400):
        cv2.imwrite(str(pictures / f"{number:03d}.jpg"), np.full((96, 128, 3), number % 255, np.uint8))
    process = subprocess.Popen(
        [sys.executable, "-m", "rtparse", "video", "pictures", "-o", "out.mp4", "--jsonl", "out.jsonl", "--masks", "m"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(folder.glob(".m.*/000003.png")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    lines = (folder / "out.jsonl").read_text().splitlines()
    with av.open(str(folder / "out.mp4")) as parsed:
        frames = sum(1 for _ in parsed.decode(video=0))
    assert frames == len(lines)
    assert 0 < frames < 400
    assert f"{frames} frames are in" in stderr


@pytest.mark.skipif(find_spec("PyNvVideoCodec") is not None, reason="PyNvVideoCodec is installed")
def test_an_encoder_that_is_not_there_is_told(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("video", clip, "--encode", "nvenc", "-o", "out.mp4")
    assert done.returncode == 1
    assert 'PyNvVideoCodec is not installed; run: pip install "rtparse[nvcodec]"' in done.stderr
    assert list(folder.iterdir()) == []
    told = rtparse("info").stdout
    assert "NVDEC" in told
    assert "NVENC" in told
