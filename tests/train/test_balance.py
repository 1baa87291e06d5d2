"""Shifts of the classes: found where they are known, and where in the picture a logit is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from rtparse._cv import cv2
from rtparse.cli.balance import command
from rtparse.engines.base import Engine
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.balance import Sample, fit_shifts, sample
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.compose import Pair
from rtparse.train.data import Dataset
from rtparse.train.model import ModelConfig, build_model


def tilted(by: dict[int, float], count: int = 20_000) -> Sample:
    """Noisy logits that would be right on the whole, were they not tilted."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 20, count)
    logits = rng.normal(0, 1, (count, 20)).astype(np.float32)
    logits[np.arange(count), labels] += 3
    for label, shift in by.items():
        logits[:, label] += shift
    return Sample(logits, labels)


def test_a_tilt_is_found_and_undone() -> None:
    data = tilted({3: 2.0, 9: -2.0})
    shifts = fit_shifts([data])
    assert shifts[3] == pytest.approx(-2, abs=0.7)
    assert shifts[9] == pytest.approx(2, abs=0.7)
    assert data.miou(shifts) > data.miou(np.zeros(20, np.float32)) + 0.02
    assert data.miou(shifts) == pytest.approx(tilted({}).miou(np.zeros(20, np.float32)), abs=0.01)


def test_left_and_right_move_together_and_background_stays() -> None:
    shifts = fit_shifts([tilted({14: 2.0, 17: -1.5, 0: 1.0})])
    assert shifts[14] == shifts[15] != 0
    assert shifts[16] == shifts[17] != 0
    assert shifts[0] == 0


class Quadrants(Engine):
    """Says class 1 + quadrant, whatever it is shown, at half the input's size."""

    kind, path, sizes, metadata = "quadrants", "", None, ModelMetadata(size_hw=(128, 128))

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count, _, height, width = batch.shape
        rows, columns = np.indices((height // 2, width // 2))
        quadrant = 1 + 2 * (rows >= height // 4) + (columns >= width // 4)
        logits: NDArray[np.float32] = np.repeat(
            np.eye(20, dtype=np.float32)[quadrant].transpose(2, 0, 1)[None], count, 0
        )
        return logits

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size_hw", [(128, 128), (300, 300), (270, 480), (501, 333)])
def test_logits_meet_the_labels_of_their_place(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    labels = np.ones(size_hw, np.uint8)
    labels[height // 2 :] += 2
    labels[:, width // 2 :] += 1
    with Quadrants() as engine:
        found = sample(engine, [Pair(np.zeros((*size_hw, 3), np.uint8), labels)])
    # But for the row and the column where two meet.
    assert (found.logits.argmax(1) == found.labels).mean() > 0.97
    assert set(np.unique(found.labels)) == {1, 2, 3, 4}


def test_pictures_without_labels_are_refused() -> None:
    pair = Pair(np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8))
    with Quadrants() as engine, pytest.raises(UsageError, match="no labelled pixel"):
        sample(engine, [pair])


@pytest.fixture
def trained(tmp_path: Path, people: list[Pair]) -> Path:
    """A folder of eight labelled pictures and of a network, in.safetensors."""
    for number, pair in enumerate(people):
        for name, picture in (("images", pair.image), ("labels", pair.labels)):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    torch.manual_seed(0)
    model = build_model(ModelConfig("resnet18", smooth_channels=16, layer4=False))
    save_checkpoint(model, tmp_path / "in.safetensors", ModelMetadata(size_hw=(64, 64)))
    return tmp_path


def balance(trained: Path, *options: str) -> None:
    files = ["--weights", f"{trained}/in.safetensors", "--to", f"{trained}/out.safetensors"]
    command.main([*files, *options], standalone_mode=False)


def test_the_command_moves_nothing_but_the_last_bias(trained: Path) -> None:
    balance(trained, "--data", f"folder:{trained}")
    before, after = (load_file(trained / f"{name}.safetensors") for name in ("in", "out"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"classify.bias"}


def test_the_command_fits_on_what_training_saw_and_not_on_all_of_a_large_set(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[list[str]] = []

    def seen(engine: Engine, pairs: Iterable[Pair]) -> Sample:
        if isinstance(pairs, Dataset):
            names.append([pairs.paths(number)[0].stem for number in range(len(pairs))])
        return tilted({}, 50)

    monkeypatch.setattr("rtparse.train.balance.sample", seen)
    data = ("--data", f"folder:{trained}", "-y")
    balance(trained, *data)
    balance(trained, *data, "--hold-out", "5")
    monkeypatch.setattr("rtparse.cli.balance.MOST_PHOTOS", 1)
    balance(trained, *data)
    assert names == [["1", "5"], ["1", "6"], ["1"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "synthetic"), "synthetic, which has no end"),
        (("--data", "folder:{}", "--hold-out", "2"), "has 4 photos to fit on; expected 6 or more"),
        (("--data", "folder:{}", "--to", "{}/none/out.safetensors"), "no folder .*/none; make it first"),
    ],
)
def test_what_cannot_be_fitted_on_is_refused(trained: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        balance(trained, *(option.format(trained) for option in options))
    assert not (trained / "out.safetensors").exists()
