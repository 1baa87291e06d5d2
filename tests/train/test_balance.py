"""Shifts of the classes: found where they are known, and where in the picture a logit is."""

from __future__ import annotations

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


def test_the_command_moves_nothing_but_the_last_bias(tmp_path: Path, people: list[Pair]) -> None:
    for number, pair in enumerate(people):
        for name, picture in (("images", pair.image), ("labels", pair.labels)):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    torch.manual_seed(0)
    model = build_model(ModelConfig("resnet18", smooth_channels=16, layer4=False))
    save_checkpoint(model, tmp_path / "in.safetensors", ModelMetadata(size_hw=(64, 64)))
    command.main(
        [
            "--weights",
            f"{tmp_path}/in.safetensors",
            "--data",
            f"folder:{tmp_path}",
            "--to",
            f"{tmp_path}/out.safetensors",
        ],
        standalone_mode=False,
    )
    before, after = (load_file(tmp_path / f"{name}.safetensors") for name in ("in", "out"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"classify.bias"}
