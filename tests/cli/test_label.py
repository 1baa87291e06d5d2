"""`rtparse label` from outside, with the built-in model."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.cli import main
from rtparse.train.data import open_dataset

SIZE = ("--size", "64x48", "--backend", "onnxruntime")


@pytest.fixture
def photos(folder: Path, people: NDArray[np.uint8]) -> Path:
    """Three pictures without labels: someone, seen three pixels further each time."""
    (folder / "photos").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"photos/{number}.jpg"), people[:, 3 * number : 3 * number + 150])
    return folder / "photos"


def test_the_result_is_a_dataset_and_is_gone_on_with(rtparse, photos: Path, folder: Path) -> None:
    command = (
        "label",
        "photos",
        "--to",
        "out/labelled",
        "--engine",
        "small",
        "--flip",
        "--scales",
        "1,1.5",
        "--confidence",
        "0.9",
        *SIZE,
    )
    done = rtparse(*command)
    assert done.returncode == 0, done.stderr
    assert "3 pictures labelled" in done.stderr
    dataset = open_dataset(f"folder:{folder / 'out/labelled'}")
    pairs = list(dataset)
    assert [pair.labels.shape for pair in pairs] == [(120, 150)] * 3
    ignored = np.mean([(pair.labels == 255).mean() for pair in pairs])
    assert 0 < ignored < 1
    assert f"{ignored:.1%} of their pixels ignored" in done.stderr
    assert all((pair.image == cv2.imread(str(photos / f"{i}.jpg"))).all() for i, pair in enumerate(pairs))

    (folder / "out/labelled/labels/1.png").unlink()
    (folder / "out/labelled/images/2.jpg").unlink()
    untouched = (folder / "out/labelled/labels/0.png").stat().st_mtime_ns
    done = rtparse(*command)
    assert done.returncode == 0, done.stderr
    assert "1 pictures labelled" in done.stderr
    assert "2 were labelled before" in done.stderr
    assert (folder / "out/labelled/labels/0.png").stat().st_mtime_ns == untouched
    assert [(pair.labels == first.labels).all() for pair, first in zip(dataset, pairs, strict=True)] == [True] * 3

    other = rtparse(*command[:-4], "--size", "80x64")
    assert other.returncode == 2
    assert "input_size 64x48, not 80x64" in other.stderr


def test_a_broken_picture_is_skipped_and_named(rtparse, photos: Path, folder: Path) -> None:
    (photos / "0.jpg").write_bytes(b"no picture")
    done = rtparse("label", "photos", "--to", "out", *SIZE)
    assert done.returncode == 1
    assert "skipped: photos/0.jpg" in done.stderr
    assert sorted(path.name for path in (folder / "out/images").iterdir()) == ["1.jpg", "2.jpg"]
    assert sorted(path.name for path in (folder / "out/labels").iterdir()) == ["1.png", "2.png"]


def test_a_picture_that_went_away_after_it_was_labelled_is_named(rtparse, photos: Path, folder: Path) -> None:
    assert rtparse("label", "photos", "--to", "out", *SIZE).returncode == 0
    (photos / "0.jpg").unlink()
    (photos / "0.jpg").symlink_to("elsewhere.jpg")
    done = rtparse("label", "photos", "--to", "out", *SIZE)
    assert done.returncode == 1
    assert "skipped: photos/0.jpg cannot be read (No such file or directory)" in done.stderr
    assert "3 were labelled before" in done.stderr


def test_ctrl_c_leaves_whole_files(photos: Path, folder: Path) -> None:
    for number in range(3, 400):
        (photos / f"{number}.jpg").hardlink_to(photos / "0.jpg")
    command = [sys.executable, "-m", "rtparse", "label", "photos", "--to", "out", "--scales", "1,2", *SIZE]
    running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not list(folder.glob("out/labels/*.png")) and time.monotonic() < limit:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "run the command again to go on" in errors
    assert "Traceback" not in errors
    made = list(folder.glob("out/labels/*"))
    assert 0 < len(made) < 400
    assert all(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) is not None for path in made)
    assert not list(folder.rglob("*.part"))


@pytest.fixture
def in_process(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `rtparse ARGS` in this process, which is faster: the exit code and what was printed as errors."""

    def run(*arguments: str) -> tuple[object, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["rtparse", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photos",), "--to"),
        (("nowhere", "--to", "out"), "nowhere is no folder"),
        (("empty", "--to", "out"), "no pictures in empty"),
        (("photos", "--to", "out", "--confidence", "2"), "--confidence"),
        (("photos", "--to", "out", "--size", "10x10"), "multiples of 16"),
    ],
)
def test_wrong_use(in_process, photos: Path, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "empty").mkdir()
    code, errors = in_process("label", *arguments)
    assert code == 2, errors
    assert message in errors
    assert not (folder / "out").exists()
