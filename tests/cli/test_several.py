"""`rtparse video` with several inputs, from outside."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

OPTIONS = ("--size", "64x96")  # small, for speed


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]


@pytest.fixture
def inputs(clip: Path, make_clip: Callable[..., Path], folder: Path) -> list[Path]:
    """A clip of 12 frames with sound, one of 30 frames, a folder of 5 pictures: in the current folder."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(5):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((48, 64, 3), number * 40, np.uint8))
    return [Path(shutil.copy(clip, folder)), Path(shutil.copy(make_clip("steps.mkv", frames=30), folder)), pictures]


def test_each_input_gets_the_outputs_that_it_gets_alone(rtparse, inputs: list[Path], folder: Path) -> None:
    done = rtparse("video", *inputs, "-o", "out", "--masks", "masks", "--jsonl", "json", *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted((folder / "out").iterdir())] == [
        "pictures.parsed.mp4",
        "steps.parsed.mp4",
        "walk.parsed.mp4",
    ]
    for name, count in (("walk", 12), ("steps", 30), ("pictures", 5)):
        assert f"{count} frames parsed: out/{name}.parsed.mp4, masks/{name}, json/{name}.jsonl" in done.stderr
        assert len(frames(folder / "out" / f"{name}.parsed.mp4")) == count
        assert len(list((folder / "masks" / name).iterdir())) == count
        lines = [json.loads(line) for line in (folder / "json" / f"{name}.jsonl").read_text().splitlines()]
        assert [line["index"] for line in lines] == list(range(count))
    with av.open(str(folder / "out" / "walk.parsed.mp4")) as walk:
        assert walk.streams.audio[0].codec_context.name == "aac"
    alone = rtparse("video", inputs[1], "-o", "alone.mp4", "--masks", "alone", *OPTIONS)
    assert alone.returncode == 0, alone.stderr
    for number, (one, other) in enumerate(
        zip(frames(folder / "out" / "steps.parsed.mp4"), frames(folder / "alone.mp4"), strict=True)
    ):
        np.testing.assert_array_equal(one, other)  # the legend too, which remembers what its own video has shown
        mask = f"{number:06d}.png"
        assert (folder / "masks" / "steps" / mask).read_bytes() == (folder / "alone" / mask).read_bytes()


def test_outputs_lie_beside_the_inputs_and_are_kept(rtparse, inputs: list[Path], folder: Path) -> None:
    assert rtparse("video", *inputs, *OPTIONS).returncode == 0
    parsed = sorted(path.name for path in folder.iterdir() if ".parsed" in path.name)
    assert parsed == ["pictures.parsed.mp4", "steps.parsed.mp4", "walk.parsed.mp4"]
    (folder / "walk.parsed.mp4").unlink()
    again = rtparse("video", *inputs, *OPTIONS)
    assert again.returncode == 2
    assert "steps.parsed.mp4 exists" in again.stderr
    assert not (folder / "walk.parsed.mp4").exists()


def test_a_broken_input_stops_no_other(rtparse, inputs: list[Path], folder: Path) -> None:
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    whole = inputs[1].read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: int(len(whole) * 0.6)])
    done = rtparse("video", inputs[0], "text.mp4", "cut.mkv", inputs[2], "-o", "out", *OPTIONS)
    assert done.returncode == 1
    assert done.stderr.count("error: text.mp4") == 1
    assert "damaged input: cut.mkv: " in done.stderr
    assert len(frames(folder / "out" / "walk.parsed.mp4")) == 12
    assert len(frames(folder / "out" / "pictures.parsed.mp4")) == 5
    assert 5 < len(frames(folder / "out" / "cut.parsed.mp4")) < 30
    assert len(list((folder / "out").iterdir())) == 3


def test_an_input_that_fails_while_it_is_parsed_stops_no_other(rtparse, inputs: list[Path], folder: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    for number in range(3):
        (broken / f"{number}.png").write_bytes(b"no picture")
    done = rtparse("video", "broken", inputs[1], "-o", "out", "--jsonl", "out", *OPTIONS)
    assert done.returncode == 1, done.stderr
    assert "error: " in done.stderr
    assert "broken" in done.stderr
    assert len(frames(folder / "out" / "steps.parsed.mp4")) == 30
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["steps.jsonl", "steps.parsed.mp4"]


def test_only_broken_inputs_leave_nothing(rtparse, folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_text("this is no video\n" * 100)
    done = rtparse("video", "a.mp4", "b.mp4", "-o", "out")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["-o", "out.mp4"], "-o out.mp4 is one file for 3 inputs"),
        (["--jsonl", "o.jsonl"], "--jsonl o.jsonl is one file for 3 inputs"),
        (["none.mp4"], "none.mp4"),
        (["steps.mkv"], "would both become"),
    ],
)
def test_wrong_use(rtparse, inputs: list[Path], folder: Path, options: list[str], word: str) -> None:
    before = sorted(folder.iterdir())
    done = rtparse("video", *inputs, *options)
    assert done.returncode == 2
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_more_inputs_than_are_parsed_at_once(rtparse, folder: Path) -> None:
    for number in range(10):
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.full((48, 64, 3), number * 20, np.uint8))
    (folder / "03.png").write_bytes(b"broken")
    done = rtparse("video", *(f"{number:02d}.png" for number in range(10)), "-o", "out", *OPTIONS)
    assert done.returncode == 1
    assert "error: 03.png" in done.stderr
    assert len(list((folder / "out").iterdir())) == 9


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_whole_files_of_all_inputs(inputs: list[Path], folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        for number in range(400):
            cv2.imwrite(str(folder / name / f"{number:03d}.jpg"), np.full((96, 128, 3), number % 255, np.uint8))
    process = subprocess.Popen(
        [sys.executable, "-m", "rtparse", "video", "one", "pictures", "two", "-o", "out", "--jsonl", "out"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    # The short one is finished while the others go on.
    while time.monotonic() < deadline and not (folder / "out" / "pictures.parsed.mp4").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert len(frames(folder / "out" / "pictures.parsed.mp4")) == 5
    assert "5 frames parsed: out/pictures.parsed.mp4" in stderr
    for name in ("one", "two"):
        count = len(frames(folder / "out" / f"{name}.parsed.mp4"))
        assert count == len((folder / "out" / f"{name}.jsonl").read_text().splitlines())
        assert 0 < count < 400
        assert f"{count} frames are in out/{name}.parsed.mp4" in stderr
    assert len(list((folder / "out").iterdir())) == 6
