"""The precision that a run settles on, and how many processes make its batches."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rtparse.cli.training import run_options
from rtparse.engines import cores
from rtparse.train import fabric
from rtparse.train.fabric import batch_workers, cache_bytes, open_fabric, settled
from rtparse.train.mix import CACHE_BYTES
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


@pytest.mark.parametrize(
    ("device", "physical", "ranks", "workers"),
    [("cpu", 16, 1, 0), ("cuda", 16, 1, 8), ("cuda", 16, 4, 3), ("cuda", 16, 8, 1), ("cuda", 1, 1, 0)],
)
def test_workers_are_the_cores_that_nothing_else_uses(
    monkeypatch: pytest.MonkeyPatch, device: str, physical: int, ranks: int, workers: int
) -> None:
    monkeypatch.setattr(fabric, "physical_cores", lambda: physical)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert batch_workers(SimpleNamespace(device=torch.device(device))) == workers  # type: ignore[arg-type]


def test_all_processes_together_cache_half_of_the_memory_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert cache_bytes(0) == CACHE_BYTES
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert 8 * 1000 * cache_bytes(1000) <= memory / 2 <= 8 * 1001 * cache_bytes(1000)
