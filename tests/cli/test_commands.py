"""The other commands from outside."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import rtparse as package
from rtparse.classes import PALETTES
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.model import ModelConfig, build_model


@pytest.fixture
def checkpoint(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    save_checkpoint(build_model(ModelConfig(smooth_channels=16)), path, ModelMetadata(name="tiny"))
    return path


def test_version_and_help(rtparse) -> None:
    assert rtparse("--version").stdout.strip() == f"rtparse, version {package.__version__}"
    listed = rtparse("--help").stdout
    for command in ("bench", "export", "image", "info", "models", "video"):
        assert command in listed
        assert "Usage" in rtparse(command, "--help").stdout
    assert rtparse("vidoe").returncode == 2


def test_image(rtparse, folder: Path) -> None:
    cv2.imwrite(str(folder / "photo.jpg"), np.full((90, 70, 3), 128, np.uint8))
    done = rtparse("image", "photo.jpg", "--jsonl", "photo.jsonl")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(folder / "photo.parsed.png")).shape == (90, 70, 3)
    (line,) = (folder / "photo.jsonl").read_text().splitlines()
    assert (json.loads(line)["width"], json.loads(line)["height"]) == (70, 90)


def test_image_in_colours_for_the_colour_blind(rtparse, people: np.ndarray, folder: Path) -> None:
    cv2.imwrite(str(folder / "photo.png"), people)
    done = rtparse("image", "photo.png", "--view", "labels", "--palette", "colorblind", "--masks", "m", "-o", "out.png")
    assert done.returncode == 0, done.stderr
    (mask,) = (folder / "m").iterdir()
    labels, drawn = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), cv2.imread(str(folder / "out.png"))
    right = np.s_[:, 120:]  # of the legend
    assert (labels[right] > 0).any()
    np.testing.assert_array_equal(drawn[right], PALETTES["colorblind"][labels[right]][:, :, ::-1])
    refused = rtparse("image", "photo.png", "--palette", "pink", "-y")
    assert refused.returncode == 2
    for name in PALETTES:
        assert name in refused.stderr


def test_image_refuses_videos_and_folders(rtparse, clip: Path, folder: Path) -> None:
    for source in (clip, folder):
        done = rtparse("image", source, "-o", "out.png")
        assert done.returncode == 2
        assert "rtparse video" in done.stderr


def test_export_then_use_by_name(rtparse, checkpoint: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    done = rtparse("export", "--weights", checkpoint, "--to", "tiny.onnx")
    assert done.returncode == 0, done.stderr
    assert "same label on" in done.stderr
    assert rtparse("export", "--weights", checkpoint, "--to", "tiny.onnx").returncode == 2
    assert rtparse("models", "add", "mine", "tiny.onnx").returncode == 0
    assert "mine" in rtparse("models").stdout
    assert "mine" in rtparse("info").stdout
    cv2.imwrite(str(folder / "photo.jpg"), np.full((64, 64, 3), 128, np.uint8))
    assert rtparse("image", "photo.jpg", "--engine", "mine").returncode == 0
    (folder / "tiny.onnx").write_bytes(b"changed")
    refused = rtparse("image", "photo.jpg", "--engine", "mine", "-y")
    assert refused.returncode == 1
    assert "SHA-256" in refused.stderr
    assert rtparse("models", "remove", "mine").returncode == 0
    assert "mine" not in rtparse("models").stdout


def test_export_of_what_is_no_checkpoint(rtparse, folder: Path) -> None:
    (folder / "text.safetensors").write_text("hello")
    done = rtparse("export", "--weights", "text.safetensors", "--to", "out.onnx")
    assert done.returncode == 1
    assert "no readable safetensors" in done.stderr
    assert rtparse("export", "--weights", "text.safetensors", "--to", "out.bin").returncode == 2
    assert not list(folder.glob("*out*"))


def test_bench_reports_engine_and_pipeline(rtparse, clip: Path, folder: Path) -> None:
    done = rtparse("bench", clip, "--frames", "12", "--json", "bench.json")
    assert done.returncode == 0, done.stderr
    assert "pipeline over engine" in done.stdout
    report = json.loads((folder / "bench.json").read_text())
    assert report["frames"] == 12
    assert set(report["stages_ms"]) == {"decode", "preprocess", "engine", "postprocess", "overlay", "encode"}
    assert report["ratio"] == pytest.approx(report["pipeline_fps"] / report["engine_fps"])
    assert min(report["stages_ms"].values()) > 0
    assert report["labels_ratio"] == pytest.approx(report["labels_fps"] / report["engine_fps"])
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p90"] <= report["latency_ms"]["p99"]
    assert report["against"] == report["skipped"] == {}
    assert report["gpu"] is None


def test_bench_compares_and_draws(rtparse, folder: Path) -> None:
    walk = Path(__file__).parents[2] / "examples/walk.mp4"
    arguments = ("--frames", "10", "--backend", "openvino", "--against", "onnxruntime")
    done = rtparse("bench", walk, *arguments, "--json", "bench.json", "--chart", "bench.png")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime over engine" in done.stdout
    other = json.loads((folder / "bench.json").read_text())["against"]["onnxruntime"]
    assert other["ms"] > 0
    assert other["ratio"] > 0
    assert cv2.imread(str(folder / "bench.png")).shape[1] == 1200
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "bench.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--against", "tensorflow"], 2, "there is no 'tensorflow' to compare with"),
        (["--against", "onnxruntime,torch"], 2, "torch cannot run"),
        (["--chart", "bench.jpg"], 2, "expected a name that ends in .png"),
        (["--json", "none/bench.json"], 1, "make the folder first"),
    ],
)
def test_bench_refuses_before_it_measures(rtparse, clip: Path, folder: Path, arguments, code: int, message) -> None:
    done = rtparse("bench", clip, "--chart", "bench.png", *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert not list(folder.iterdir())
