"""Live parsing that goes on and on: memory, descriptors and threads stay, latency does not rise.

RTPARSE_SOAK_SECONDS=1800 python -m pytest tests/live/test_soak.py soaks half an hour for each case; RTPARSE_SOAK_FOLDER
keeps the samples and their plot.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import av
import pytest

SECONDS = float(os.environ.get("RTPARSE_SOAK_SECONDS", "2"))
LONG = 120.0
"""From here on the curves are long enough to be judged closely."""


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset `nano` with random weights: its speed is that of a trained one."""
    import onnx
    import torch

    from rtparse.exporters.onnx import to_onnx
    from rtparse.metadata import ModelMetadata
    from rtparse.train.model import build_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nano") / "nano.onnx"
    onnx.save(to_onnx(build_model("nano"), ModelMetadata(name="nano")), str(path))
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("count", [1, 8])  # the built-in model on one source, a small network on eight
def test_nothing_grows(count: int, tmp_path: Path, tiny_onnx: Path, request: pytest.FixtureRequest) -> None:
    engine = "small" if count == 1 else str(request.getfixturevalue("nano") if SECONDS >= LONG else tiny_onnx)
    folder = Path(os.environ.get("RTPARSE_SOAK_FOLDER", tmp_path)) / f"soak-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), str(SECONDS), str(count), engine, str(folder)]
    subprocess.run(command, check=True, timeout=SECONDS + 180)
    samples = json.loads((folder / "samples.json").read_text())

    # The first fifth fills caches and the window of the latencies.
    warm = len(samples["seconds"]) // 5
    first, last = (_part(samples, warm, half) for half in (0, 1))
    assert median(last["rss_mib"]) < median(first["rss_mib"]) * 1.05 + (0 if SECONDS >= LONG else 30)
    assert max(last["descriptors"]) <= max(first["descriptors"]) + 2  # a file that is closed and the next one
    assert max(last["threads"]) <= max(first["threads"])
    assert max(last["fps_out"]) > 0
    if SECONDS >= LONG:
        assert median(last["p99_ms"]) < median(first["p99_ms"]) * 1.25
        assert max(samples["reconnects"]) == 0
    assert (folder / "soak.png").stat().st_size > 5000
    for path in (folder / "rec").iterdir():
        with av.open(path) as container:
            assert next(container.decode(video=0)).width > 0
    assert not list((folder / "rec").glob("*.part.mp4"))


def _part(samples: dict[str, list[float]], warm: int, half: int) -> dict[str, list[float]]:
    middle = (warm + len(samples["seconds"])) // 2
    return {name: values[warm:middle] if half == 0 else values[middle:] for name, values in samples.items()}
