"""The figures of the presets' table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtparse.errors import UsageError
from rtparse.exporters.presets import count, cpu_backends, load_presets, measure_preset
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.data import open_dataset
from rtparse.train.model import PRESETS, ModelConfig, build_model

TINY = ModelConfig(smooth_channels=16, layer4=False)


@pytest.mark.parametrize(
    ("preset", "parameters", "gflop"), [("paper", 64.3, 122.9), ("base", 42.5, 46.3), ("small", 12.6, 13.9)]
)
def test_counts_are_those_that_the_docs_give(preset: str, parameters: float, gflop: float) -> None:
    found = count(PRESETS[preset])
    assert round(found[0] / 1e6, 1) == parameters
    assert round(found[1], 1) == gflop


def test_parameters_and_operations_can_be_counted_by_hand() -> None:
    narrow, wide = (count(ModelConfig(smooth=False, context=context)) for context in ("aspp", "dblock"))
    # The D-Block is four 3x3 convolutions of 512 channels with a bias, on a map of 16x12.
    aspp = 2 * 512 * 256 + 3 * 9 * 256 * 64 + 256 * 64 + 2 * (256 + 4 * 64 + 512)
    assert wide[0] - narrow[0] == 4 * (9 * 512 * 512 + 512) - aspp
    dilated, pooled = 192 * (2 * 512 * 256 + 3 * 9 * 256 * 64), 256 * 64
    assert wide[1] - narrow[1] == pytest.approx(2 * (192 * 4 * 9 * 512 * 512 - dilated - pooled) / 1e9)


def test_a_preset_is_timed_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(build_model(TINY), path, ModelMetadata(name="tiny", size_hw=(64, 64)))
    done: list[str] = []
    trained = load_presets({"tiny": path})["tiny"]
    row = measure_preset("tiny", trained, open_dataset("synthetic")[:2], done.append)
    assert (row.preset, row.config) == ("tiny", TINY)
    assert list(row.ms) == cpu_backends()
    assert all(0 < ms < 10_000 for ms in row.ms.values())
    assert row.miou is not None
    assert 0 <= row.miou < 1
    assert done == ["exporting", "timing", "judging"]
    assert (row.parameters, row.gflop) == count(TINY)
    assert np.isfinite(row.gflop)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(build_model(TINY), path, ModelMetadata())
    with pytest.raises(UsageError, match=r"is no nano: it holds .*smooth_channels=16.*expected .*smooth_channels=32"):
        load_presets({"nano": path})
    with pytest.raises(UsageError, match="no preset 'huge'; choose from: paper, base, small, nano"):
        load_presets({"huge": path})
