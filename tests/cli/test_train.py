"""`rtparse train` as a user runs it, on a few rendered pictures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rtparse._cv import cv2
from rtparse.classes import CLASSES, COLORBLIND_RGB, PALETTE_RGB
from rtparse.cli import main
from rtparse.cli.training import run_options, unseen
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import load_checkpoint, save_checkpoint
from rtparse.train.model import build_model
from rtparse.train.resnet import ResNetEncoder
from rtparse.train.synthetic import render_scene

Invoke = Callable[..., tuple[int, str]]

QUICK = ("--preset", "nano", "--data", "folder:people", "--pixels", 4096, "--batch", 2, "--precision", "fp32")


@pytest.fixture
def train(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """`rtparse train ARGS` in this process, which has torch already: exit code and standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["rtparse", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(str(ended.value.code)), capsys.readouterr().err

    return run


@pytest.fixture
def photos(folder: Path) -> Path:
    """Six pictures of 96x64 with labels, in the command's folder."""
    for part in ("images", "labels"):
        (folder / "people" / part).mkdir(parents=True)
    for number in range(6):
        scene = render_scene(np.random.default_rng(number), (96, 64))
        cv2.imwrite(str(folder / f"people/images/{number}.png"), scene.image_bgr)
        cv2.imwrite(str(folder / f"people/labels/{number}.png"), scene.labels)
    return folder / "people"


def test_a_run_trains_judges_ends_and_goes_on(train: Invoke, folder: Path, photos: Path) -> None:
    options = (*QUICK, "--hold-out", 3, "--out", "run", "--context", "dblock", "--no-deep-supervision")
    code, said = train(*options, "--steps", 2)
    assert code == 0, said
    assert "step 2 of 2  loss" in said
    assert "the encoder starts from random weights" in said
    assert "held-out mIoU" in said
    assert "rtparse eval --engine run/model.safetensors" in said
    assert "rtparse export --weights run/model.safetensors" in said
    model, metadata = load_checkpoint(folder / "run/model.safetensors")
    assert (metadata.name, model.config.context, model.auxiliary) == ("nano", "dblock", None)

    board = EventAccumulator(str(folder / "run"))
    board.Reload()
    tags = board.Tags()
    assert {"loss/total", "loss/refined", "loss/auxiliary", "learning rate", "held out/mIoU"} <= set(tags["scalars"])
    assert "loss/teacher" not in tags["scalars"]
    assert tags["images"] == ["held out/picture, labels, prediction"]
    shown = cv2.imdecode(np.frombuffer(board.Images(tags["images"][0])[0].encoded_image_string, np.uint8), 1)
    assert shown.shape[1] == 3 * (144 + 4)  # picture, labels, prediction

    code, said = train(*options, "--steps", 3, "--palette", "colorblind")
    assert code == 0, said
    assert "continuing after step 2 of 3" in said
    board = EventAccumulator(str(folder / "run"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss/total")] == [1, 2, 3]
    assert [event.step for event in board.Scalars("held out/mIoU")] == [2, 3]
    recoloured = cv2.imdecode(np.frombuffer(board.Images(tags["images"][0])[-1].encoded_image_string, np.uint8), 1)
    for picture, used, other in ((shown, PALETTE_RGB, COLORBLIND_RGB), (recoloured, COLORBLIND_RGB, PALETTE_RGB)):
        labels = picture[:, 148:292]
        coat = CLASSES.index("upper-clothes")
        assert (labels == used[coat, ::-1]).all(axis=2).any()
        assert not (labels == other[coat, ::-1]).all(axis=2).any()
    code, said = train(*options, "--steps", 3, "--lr", 0.5)
    assert code == 2
    assert "lr 0.5 (it was 0.001)" in said


def test_a_run_goes_on_with_smaller_micro_batches(train: Invoke, folder: Path, photos: Path) -> None:
    options = (*QUICK, "--batch", 4, "--out", "run")
    assert train(*options, "--steps", 1)[0] == 0
    code, said = train(*options, "--steps", 2, "--accumulate", 2)
    assert code == 0, said
    assert "continuing after step 1 of 2" in said


def test_init_says_how_much_it_took_over(train: Invoke, folder: Path, photos: Path) -> None:
    for preset in ("small", "nano"):
        save_checkpoint(build_model(preset), folder / f"{preset}.safetensors", ModelMetadata(name=preset))
    total = len(build_model("nano").state_dict())
    code, said = train(*QUICK, "--out", "same", "--init", "nano.safetensors", "--steps", 1, "--epochs", 1)
    assert code == 2
    assert "--steps and --epochs" in said
    code, said = train(*QUICK, "--out", "same", "--init", "nano.safetensors", "--steps", 1)
    assert code == 0, said
    assert f"{total} of {total} tensors taken over" in said
    code, said = train(*QUICK, "--out", "smaller", "--init", "small.safetensors", "--steps", 1)
    taken = int(said.split(f" of {total} tensors taken over")[0].split()[-1])
    assert 90 <= taken < total  # the stages that both have


def test_the_encoder_and_the_teacher_that_were_named_are_taken(train: Invoke, folder: Path, photos: Path) -> None:
    source = ResNetEncoder("resnet18")
    torch.save(source.state_dict(), folder / "resnet18.pth")
    save_checkpoint(build_model("nano"), folder / "teacher.safetensors", ModelMetadata())
    options = (*QUICK, "--out", "run", "--steps", 1, "--lr", 1e-9, "--encoder-weights", "resnet18.pth")
    code, said = train(*options, "--teacher", "teacher.safetensors", "--teacher-weight", 1)
    assert code == 0, said
    model, _ = load_checkpoint(folder / "run/model.safetensors")
    assert torch.allclose(model.encoder.conv1.weight, source.conv1.weight, atol=1e-6)
    assert torch.allclose(model.encoder.layer3[1].conv2.weight, source.layer3[1].conv2.weight, atol=1e-6)
    board = EventAccumulator(str(folder / "run"))
    board.Reload()
    total, taught, refined = (board.Scalars(f"loss/{name}")[0].value for name in ("total", "teacher", "refined"))
    assert total == taught != refined
    code, said = train(*options)
    assert code == 2
    assert "teacher None (it was teacher.safetensors)" in said


def test_check_names_every_pair_that_is_wrong(train: Invoke, folder: Path, photos: Path) -> None:
    code, said = train("--data", "folder:people", "--check")
    assert (code, said.strip()) == (0, "folder:people: 6 pairs")
    (photos / "labels/1.png").write_bytes(b"no picture")
    cv2.imwrite(str(photos / "labels/4.png"), np.zeros((10, 10), np.uint8))
    code, said = train("--data", "folder:people", "--check")
    assert code == 1
    assert "2 of 6 pairs cannot be used" in said
    assert "people/labels/1.png" in said
    assert "people/labels/4.png" in said
    code, said = train(*QUICK, "--out", "run", "--steps", 1)
    assert code == 1
    assert not (folder / "run/model.safetensors").exists()
    code, said = train(*QUICK, "--hold-out", 3, "--out", "run", "--steps", 1)  # 4 trains, 0 and 3 do not
    assert "2 of 6 pairs cannot be used" in said
    shutil.copy(photos / "labels/0.png", photos / "labels/4.png")
    shutil.copy(photos / "labels/0.png", photos / "labels/1.png")
    (photos / "labels/3.png").write_bytes(b"no picture")
    code, said = train(*QUICK, "--hold-out", 3, "--out", "run", "--steps", 1)
    assert (code, "1 of 6 pairs cannot be used" in said, "people/labels/3.png" in said) == (1, True, True), said


@pytest.mark.parametrize("option", ["--init", "--teacher", "--encoder-weights"])
def test_wrong_weights_are_named_before_all_pictures_are_read(train: Invoke, photos: Path, option: str) -> None:
    (photos / "labels/1.png").write_bytes(b"no picture")
    code, said = train(*QUICK, "--out", "run", "--steps", 1, option, "none.safetensors")
    assert (code, "none.safetensors" in said, "labels/1.png" in said) == (2, True, False), said


def test_wrong_options_are_named_before_all_pictures_are_read(train: Invoke, photos: Path) -> None:
    assert train(*QUICK, "--out", "run", "--steps", 1)[0] == 0
    (photos / "labels/1.png").write_bytes(b"no picture")
    for options, message in (
        ((*QUICK[:4], "--size", "64x48", "--out", "run", "--steps", 1), "size 64x48 (it was None)"),
        ((*QUICK, "--out", "new", "--steps", 1, "--style", "paper", "--window", 64), "the paper's crops have no"),
        ((*QUICK, "--out", "people/labels/0.png", "--steps", 1), "people/labels/0.png cannot be made"),
    ):
        code, said = train(*options)
        assert (code, message in said, "labels/1.png" in said) == (2, True, False), said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no --out was given"),
        (("--out", "run", "--init", "a", "--encoder-weights", "b"), "--init and --encoder-weights were both given"),
        (("--out", "run", "--size", "100x100"), "no pair of multiples of 16"),
        (("--out", "run", "--window", 100), "--window is 100; give a multiple of 16"),
        (("--out", "run", "--batch", 5, "--accumulate", 2), "a batch of 5 cannot be shared"),
        (("--out", "run", "--batch", 2, "--accumulate", 2), "BatchNorm needs 2"),
        (("--out", "run", "--teacher-weight", 0.3), "without --teacher"),
        (("--out", "run", "--data", "zoo:there"), "zoo:there"),
        (("--out", "run", "--encoder", "vgg"), "there is no encoder 'vgg'"),
    ],
)
def test_wrong_use_ends_in_one_line(train: Invoke, photos: Path, options: tuple[object, ...], message: str) -> None:
    code, said = train("--data", "folder:people", *options)
    assert code == 2, said
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_named(train: Invoke, photos: Path) -> None:
    code, said = train(*QUICK, "--out", "people/images/0.png/run", "--steps", 1)
    assert code == 2, said
    assert "people/images/0.png/run cannot be made (Not a directory); choose another folder" in said


def test_two_runs_in_one_folder_are_refused(train: Invoke, folder: Path, photos: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="folders are locked where there is fcntl")
    (folder / "run").mkdir()
    held = os.open(folder / "run", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    code, said = train(*QUICK, "--out", "run", "--steps", 1)
    assert (code, "another process trains in run" in said) == (2, True), said
    assert not list((folder / "run").iterdir())
    os.close(held)
    assert train(*QUICK, "--out", "run", "--steps", 1)[0] == 0


@pytest.mark.parametrize(
    ("data", "changed", "expected"),
    [
        (("synthetic",), {}, "--data folder:PATH"),
        (("synthetic", "folder:a"), {}, "--data folder:a --split held-out"),
        (("folder:a",), {"hold_out": 5}, "--data folder:a --split held-out --hold-out 5"),
        (("folder:people",), {"hold_out": 0}, "--data folder:PATH"),
        (("folder:people",), {"preset": "paper"}, "--data folder:PATH --flip"),
        (("folder:splits",), {"preset": "paper"}, "--data folder:splits --flip"),
    ],
)
def test_a_run_is_judged_on_what_it_has_not_seen(
    monkeypatch: pytest.MonkeyPatch, photos: Path, data: tuple[str, ...], changed: dict[str, Any], expected: str
) -> None:
    monkeypatch.chdir(photos.parent)
    for split in ("train", "val"):
        shutil.copytree(photos, f"splits/{split}")
    preset = changed.pop("preset", "nano")
    run = run_options(preset, tuple((spec, 1.0) for spec in data), Path("run"), changed)
    assert " ".join(unseen(run)) == expected


def test_ctrl_c_saves(folder: Path, photos: Path) -> None:
    command = [sys.executable, "-m", "rtparse", "train", *map(str, QUICK), "--out", "run", "--steps", "50000"]
    with subprocess.Popen([*command, "--save-every", "0"], cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 120
        while not (folder / "run/resume.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130, said
    step = torch.load(folder / "run/resume.pt", weights_only=True)["state"]["step"]
    assert step >= 1
    assert f"saved after step {step} in run" in said
    assert "Traceback" not in said
    load_checkpoint(folder / "run/model.safetensors")


def test_ctrl_c_stops_all_ranks_behind_the_same_step(folder: Path, photos: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rtparse"]
    options = [*map(str, QUICK[:-3]), "4", "--precision", "fp32", "--out", "run"]
    with subprocess.Popen(
        [*launch, "train", *options, "--steps", "50000"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while "step 50 of" not in said and (line := process.stderr.readline()):
            said += line
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the launcher and both ranks
        said += process.stderr.read()
        assert process.wait(60) != 0
    step = torch.load(folder / "run/resume.pt", weights_only=True)["state"]["step"]
    assert step >= 50, said
    assert f"saved after step {step} in run" in said
    assert "rtparse/train" not in said, said  # the launcher prints a traceback of its own; no rank does
