"""The command as a user runs it: in a process and a folder of its own, on a clip made by a real encoder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.train.synthetic import render_scene

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands run: empty."""
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def rtparse(folder: Path) -> Run:
    """Run `rtparse ARGS` in `folder` and return how it ended; a traceback fails the test."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rtparse", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def people() -> NDArray[np.uint8]:
    """A rendered picture (120, 200, 3) with someone in it."""
    scenes = (render_scene(np.random.default_rng(seed), (120, 200)) for seed in range(20))
    return next(scene.image_bgr for scene in scenes if (scene.labels != 0).mean() > 0.1)


@pytest.fixture
def clip(make_clip: Callable[..., Path], people: NDArray[np.uint8]) -> Path:
    """12 frames of 162x120 at 10 FPS with sound in AAC: a still person drifts to the left."""
    return make_clip(
        "walk.mp4", picture=lambda i: np.ascontiguousarray(people[:, i : i + 162]), frames=12, fps=10, audio="aac"
    )
