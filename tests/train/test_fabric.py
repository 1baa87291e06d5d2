"""The precision that a run settles on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rtparse.cli.training import run_options
from rtparse.engines import cores
from rtparse.train.fabric import open_fabric, settled
from rtparse.train.recipe import Recipe


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU decides, not the CPU")
@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("avx2 fma", "fp32"),  # bf16 took 19 times as long there
        ("avx2 avx512f avx512_bf16", "bf16"),
        ("avx2 amx_bf16", "bf16"),
    ],
)
def test_auto_is_what_the_cpu_multiplies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, precision: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(cores, "CPUINFO", tmp_path / "cpuinfo")
    assert settled(Recipe()).precision == precision
    run = run_options("small", (("synthetic", 1.0),), tmp_path, {"precision": None})
    assert run.record()["precision"] == precision  # a run that goes on elsewhere is told of the difference
    assert (
        open_fabric(run.recipe.precision).strategy.precision.precision
        == {
            "fp32": "32-true",
            "bf16": "bf16-mixed",
        }[precision]
    )


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
def test_what_was_asked_for_stays(asked: str) -> None:
    recipe = replace(Recipe(), precision=asked)
    assert settled(recipe) == recipe


def test_the_paper_stays_in_fp32(tmp_path: Path) -> None:
    assert run_options("paper", (("lip:LIP", 1.0),), tmp_path, {}).recipe.precision == "fp32"
