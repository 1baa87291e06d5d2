"""The command as a user runs it, in a process of its own, on a clip made by a real encoder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtparse.train.synthetic import render_scene

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rtparse(tmp_path: Path) -> Run:
    """Run `rtparse ARGS` in an empty folder and return how it ended; a traceback fails the test."""

    def run(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rtparse", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of 162x121 at 10 FPS: a still rendered person drifting left, with 1.2 s of a 440 Hz tone in AAC."""
    scene = next(
        scene.image_bgr
        for seed in range(20)
        if ((scene := render_scene(np.random.default_rng(seed), (121, 200))).labels != 0).mean() > 0.1
    )
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 162, 120, "yuv420p"
        audio = container.add_stream("aac", rate=44100)
        for number in range(12):
            picture = np.ascontiguousarray(scene[:120, number : number + 162])
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))
        tone = (np.sin(np.arange(int(44100 * 1.2)) * 2 * np.pi * 440 / 44100) * 0.3).astype(np.float32)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path
