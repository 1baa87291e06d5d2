"""`rtparse eval` from outside, with the built-in model on rendered people."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse import CLASSES
from rtparse.classes import PALETTES
from rtparse.cli import main
from rtparse.train.synthetic import render_scene

SIZE = ("--size", "64x48", "--backend", "onnxruntime")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three rendered people of 96x72 with their labels."""
    root = tmp_path_factory.mktemp("labelled")
    for name in ("images", "labels"):
        (root / name).mkdir()
    scenes = (render_scene(np.random.default_rng(seed), (96, 72)) for seed in range(100))
    shown = (scene for scene in scenes if (scene.labels != 0).mean() > 0.1)
    for number, scene in zip(range(3), shown, strict=False):
        cv2.imwrite(str(root / f"images/{number} [x].png"), scene.image_bgr)
        cv2.imwrite(str(root / f"labels/{number} [x].png"), scene.labels)
    return root


@pytest.fixture
def in_process(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The fixture `rtparse` without a process of its own, which takes seconds to start."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["rtparse", *map(str, arguments)]
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(command, int(str(ended.value.code)), *capsys.readouterr())

    return run


def test_tables_and_files(rtparse, labelled: Path, folder: Path) -> None:
    done = rtparse("eval", "--data", f"folder:{labelled}", "--out", "new/report", *SIZE)
    assert done.returncode == 0, done.stderr
    assert "boundary IoU" in done.stdout
    assert "paper, LIP val" in done.stdout
    files = sorted(path.name for path in (folder / "new/report").iterdir())
    assert files == ["confusion.png", "report.json", "report.md", "worst.png"]
    for name in ("confusion.png", "worst.png"):
        assert cv2.imread(str(folder / "new/report" / name)).shape[1] > 400
    document = json.loads((folder / "new/report/report.json").read_text())
    assert (document["model"], document["engine"], document["input_size"]) == ("small", "onnxruntime", "64x48")
    assert [each["name"] for each in document["by_picture"]] == [f"{number} [x].png" for number in range(3)]
    assert np.array(document["confusion"]).shape == (len(CLASSES),) * 2
    assert np.array(document["confusion"]).sum() == 3 * 96 * 72
    page = (folder / "new/report/report.md").read_text()
    assert f"{document['pixel_accuracy']:.4f}" in page
    assert f"folder:{labelled} (all pictures)" in "".join(done.stdout.split("\n"))
    # A second run writes over the first, and prints what it writes.
    again = rtparse("eval", "--data", labelled, "--out", "new/report", "--every", "2", "--json", *SIZE)
    assert json.loads(again.stdout) == json.loads((folder / "new/report/report.json").read_text())
    assert len(json.loads(again.stdout)["by_picture"]) == 2
    assert json.loads(again.stdout)["data"] == f"{labelled} (all pictures, --every 2)"  # not to be taken for the whole


def test_flip_and_scales_change_the_figures(in_process, labelled: Path) -> None:
    plain, averaged = (
        json.loads(in_process("eval", "--data", labelled, "--json", *SIZE, *more).stdout)
        for more in ((), ("--flip", "--scales", "1,1.5"))
    )
    assert (averaged["flip"], averaged["scales"]) == (True, [1.0, 1.5])
    assert plain["confusion"] != averaged["confusion"]


def test_what_a_run_held_out_is_judged(in_process, labelled: Path) -> None:
    done = in_process("eval", "--data", labelled, "--split", "held-out", "--hold-out", "2", "--json", *SIZE)
    assert [each["name"] for each in json.loads(done.stdout)["by_picture"]] == ["0 [x].png", "2 [x].png"]


def test_markdown_on_standard_output(in_process, labelled: Path) -> None:
    done = in_process("eval", "--data", labelled, "--markdown", *SIZE)
    assert done.stdout.startswith("# Evaluation\n")


def test_video(in_process, clip: Path, folder: Path) -> None:
    done = in_process("eval", "--video", clip, "--smooth", "0.5", "--json", "--out", "out", *SIZE)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["frames"], len(document["changes_in_place"]), document["smooth"]) == (12, 11, 0.5)
    assert 0 < document["unchanged"] <= 1
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["report.json", "report.md"]
    assert "pixels of people" in in_process("eval", "--video", clip, *SIZE).stdout


def test_a_video_too_small_to_be_followed(in_process, folder: Path) -> None:
    (folder / "frames").mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"frames/{number}.png"), np.zeros((16, 16, 3), np.uint8))
    done = in_process("eval", "--video", "frames", "--markdown", *SIZE)
    assert done.returncode == 0, done.stderr
    assert "nothing could be followed" in done.stdout
    assert "nan" not in done.stdout


def test_the_worst_pictures_in_other_colours(in_process, labelled: Path, folder: Path) -> None:
    for palette, colours in PALETTES.items():
        done = in_process("eval", "--data", labelled, "--out", palette, "--palette", palette, *SIZE)
        assert done.returncode == 0, done.stderr
        sheet = cv2.imread(str(folder / palette / "worst.png"))
        shown = [bool((sheet == colours[i, ::-1]).all(axis=2).any()) for i in range(1, len(CLASSES))]
        assert all(shown), [name for name, there in zip(CLASSES[1:], shown, strict=True) if not there]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither --data nor --video"),
        (("--data", "folder:x", "--video", "y"), "both --data and --video"),
        (("--video", "y", "--wild"), "are for --data"),
        (("--video", "y", "--hold-out", "5"), "leave them out with --video"),
        (("--video", "y", "--palette", "colorblind", "--out", "out"), "leave it out with --video"),
        (("--data", "folder:x", "--smooth", "0.5"), "--smooth is for --video"),
        (("--data", "folder:x", "--hold-out", "5"), "without --split held-out"),
        (("--data", "folder:x", "--json", "--markdown"), "both --json and --markdown"),
        (("--data", "folder:x", "--palette", "colorblind"), "add --out DIR"),
        (("--data", "folder:nowhere"), "nowhere"),
        (("--data", "other:x"), "expected KIND:PATH"),
        (("--data", "folder:x", "--scales", "1,big"), "expected numbers"),
        (("--data", "folder:x", "--scales", "0"), "expected numbers"),
        (("--data", "folder:x", "--size", "100x100"), "multiples of 16"),
        (("--data", "folder:x", "--size", "large"), "expected model, auto or HxW such as 256x192"),
        (("--data", "folder:x", "--engine", "nothing.onnx"), "no model file or name"),
        (("--video", "nothing.mp4"), "no file or folder"),
    ],
)
def test_wrong_use(in_process, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = in_process("eval", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if "rror" in line]) == 1
    assert not list(folder.iterdir())


def test_scales_of_a_fixed_size(in_process, labelled: Path, make_onnx, folder: Path) -> None:
    make_onnx(folder / "fixed.onnx", (1, 3, 64, 96))
    done = in_process(
        "eval", "--engine", "fixed.onnx", "--data", labelled, "--scales", "1,2", "--backend", "onnxruntime"
    )
    assert done.returncode == 2
    assert "fixed input sizes" in done.stderr
    # Without scales it is judged at the one size that it has.
    done = in_process("eval", "--engine", "fixed.onnx", "--data", labelled, "--json", "--backend", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input_size"] == "auto of 64x96"  # it was trained at another one


def test_what_is_wrong_is_said_before_the_work(in_process, labelled: Path, folder: Path) -> None:
    for part in ("train", "val"):
        shutil.copytree(labelled, folder / "splits" / part)
    done = in_process("eval", "--data", "splits", "--markdown", *SIZE)
    assert "on splits (val), input 64x48" in done.stdout, done.stderr
    shutil.rmtree(folder / "splits/train")  # its val can be judged all the same
    done = in_process("eval", "--data", "splits", "--markdown", *SIZE)
    assert "on splits (val), input 64x48" in done.stdout, done.stderr

    (folder / "file").write_text("")
    done = in_process("eval", "--data", "splits", "--out", "file/report", *SIZE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "file/report" in done.stderr
    assert "judging" not in done.stderr

    (folder / "splits/val/labels/2 [x].png").unlink()
    done = in_process("eval", "--data", "splits", "--out", "report", *SIZE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 [x].png is missing" in done.stderr
    assert not (folder / "report").exists()


def test_broken_labels_are_named(in_process, labelled: Path, folder: Path) -> None:
    for name in ("images", "labels"):
        (folder / "d" / name).mkdir(parents=True)
        cv2.imwrite(str(folder / f"d/{name}/a.png"), np.full((20, 20), 99, np.uint8))
    done = in_process("eval", "--data", "d", "--out", "out", *SIZE)
    assert done.returncode == 1
    assert "a.png holds the ids [99]" in done.stderr
    assert not list((folder / "out").iterdir())
