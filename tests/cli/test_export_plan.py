"""`rtparse export` to plans, half-precision ONNX and Triton repositories, and `rtparse inspect`, from outside."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from rtparse.cli import cli
from rtparse.engines import open_engine
from rtparse.errors import RtparseError
from rtparse.train.synthetic import render_scene

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="no tensorrt_rtx: install it with ../shared/tools/install_tensorrt_rtx.py",
)


@pytest.fixture
def images(folder: Path) -> Path:
    (folder / "images").mkdir()
    picture = render_scene(np.random.default_rng(0), (96, 72)).image_bgr
    cv2.imwrite(str(folder / "images" / "one.jpg"), picture)
    return folder / "images"


@pytest.fixture
def export(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RtparseError]:
    """Run `rtparse export ARGS` in this process, which saves half a minute of imports, and return what it raised."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> RtparseError:
        result = CliRunner().invoke(cli, ["export", *arguments])
        assert isinstance(result.exception, RtparseError), (result.output, result.exception)
        return result.exception

    return run


@needs_rtx
def test_the_built_in_model_becomes_a_plan(rtparse, folder: Path, images: Path) -> None:
    arguments = ("--flavour", "tensorrt-rtx", "--size", "64x48", "--images", images, "--no-verify")
    done = rtparse("export", "--to", "m.plan", *arguments, "--batch", "1:2:4", "--triton", "served")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "m.plan: tensorrt-rtx " in done.stderr
    assert "fp16, 64x48, batch 1 to 4, 2" in done.stderr
    assert "NOT compared with ONNX Runtime" in done.stderr
    assert {path.name for path in folder.iterdir()} == {"images", "m.plan", "m.plan.json", "served"}
    config = (folder / "served/m/config.pbtxt").read_text()
    assert "max_batch_size: 4" in config
    assert (folder / "served/m/1/model.plan").read_bytes() == (folder / "m.plan").read_bytes()

    shown = rtparse("inspect", "m.plan")
    assert shown.returncode == 0, shown.stderr
    for text in ("tensorrt-rtx", "64x48", "1 to 4, best at 2", "float16 (-1, 3, 64, 48)", "the plan is whole"):
        assert text in shown.stdout

    command = json.loads((folder / "m.plan.json").read_text())["build"]["command"]
    assert command.startswith("rtparse export --to m.plan --flavour tensorrt-rtx --size 64x48")
    assert command.endswith(" -y")

    refused = rtparse("export", "--to", "m.plan", *arguments)
    assert refused.returncode == 2
    assert "m.plan exists" in refused.stderr

    with (folder / "m.plan").open("r+b") as plan:
        plan.seek(1000)
        plan.write(b"changed")
    changed = rtparse("inspect", "m.plan")
    assert changed.returncode == 1
    assert "the plan was changed" in changed.stderr
    assert "rtparse export --to m.plan" in changed.stderr


def test_an_onnx_file_in_half_precision(rtparse, folder: Path, images: Path) -> None:
    done = rtparse("export", "--to", "half.onnx", "--precision", "fp16", "--fused", "on", "--images", images)
    assert done.returncode == 0, done.stderr
    assert re.search(r"half\.onnx: fp16, same label on (99\.[5-9]|100\.)\d+% of the pixels\n", done.stderr), done.stderr
    nodes = [node.op_type for node in onnx.load(folder / "half.onnx").graph.node]
    assert ("UpsampleConcat" in nodes, "Resize" in nodes) == (True, False)
    with open_engine(folder / "half.onnx", "onnxruntime") as engine:
        assert engine.metadata.precision == "fp16"
        assert engine.infer(np.zeros((1, 3, 64, 48), np.float32)).shape == (1, 20, 32, 24)
    assert {path.name for path in folder.iterdir()} == {"images", "half.onnx"}


def test_an_onnx_file_of_one_size_for_triton(rtparse, folder: Path) -> None:
    done = rtparse("export", "--model", "small", "--to", "people.onnx", "--size", "64x48", "--triton", "served")
    assert done.returncode == 0, done.stderr
    with open_engine(folder / "people.onnx", "onnxruntime") as engine:
        assert engine.sizes == ((64, 48),)
    assert "dims: [ 1, 3, 64, 48 ]" in (folder / "served/people/config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "m.engine", "--store", "fp16"], 2, "--store is for .onnx files, --to is m.engine"),
        (["--to", "m.onnx", "--batch", "4"], 2, "--batch is for plans, --to is m.onnx"),
        (["--to", "m.onnx", "--no-verify"], 2, "--verify is for plans"),
        (["--to", "m.onnx", "--precision", "bf16"], 2, "bf16 was asked for in an .onnx file"),
        (["--to", "m.onnx", "--size", "64x48", "--size", "48x64"], 2, "several sizes were given"),
        (["--to", "m.onnx", "--size", "64x50"], 2, "is no pair of multiples of 16; the nearest: 64x48"),
        (["--to", "m.pt"], 2, "expected a name ending in .onnx, .plan or .engine"),
        (["--to", "m.onnx", "--model", "a.onnx", "--weights", "b"], 2, "--weights and --model were both given"),
        (["--to", "m.onnx", "--model", "nothing.onnx"], 2, "nothing.onnx"),
        (["--to", "m.onnx", "--model", "bad.onnx"], 1, "bad.onnx is no ONNX model"),
        (["--to", "m.onnx", "--calibrate", "."], 2, "--calibrate was given without int8"),
        (["--to", "bad.onnx/m.onnx", "--size", "64x48"], 2, "bad.onnx is no folder; choose another place for m.onnx"),
    ],
)
def test_what_cannot_be_meant_is_refused(export, folder: Path, arguments, code, message) -> None:
    (folder / "bad.onnx").write_bytes(b"no model")
    error = export(*arguments)
    assert (error.exit_code, message in str(error)) == (code, True), error
    assert [path.name for path in folder.iterdir()] == ["bad.onnx"]


@needs_rtx
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "4:2:1"], "got --batch 4:2:1; expected N, or 1:OPT:MAX such as 1:4:16"),
        (["--batch", "many"], "got --batch many"),
        (["--fused", "on"], "tensorrt-rtx has no plugins"),
        (["--timing-cache", "c"], "tensorrt-rtx has no timing cache"),
    ],
)
def test_what_no_plan_can_be_is_refused(export, folder: Path, arguments, message) -> None:
    error = export("--to", "m.plan", "--flavour", "tensorrt-rtx", *arguments)
    assert (error.exit_code, message in str(error)) == (2, True), error
    assert not list(folder.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="tensorrt is installed")
def test_without_tensorrt_the_line_that_installs_it_is_named(rtparse, folder: Path) -> None:
    done = rtparse("export", "--to", "m.plan", "--flavour", "tensorrt")
    assert done.returncode == 1
    assert 'tensorrt is not installed; run: pip install "rtparse[tensorrt]"' in done.stderr


def test_inspect_needs_a_sidecar(rtparse, folder: Path) -> None:
    (folder / "m.plan").write_bytes(b"a plan")
    done = rtparse("inspect", "m.plan")
    assert done.returncode == 1
    assert "m.plan has no sidecar m.plan.json" in done.stderr
    assert rtparse("inspect", "none.plan").returncode == 2
    (folder / "m.onnx").write_bytes(b"")
    done = rtparse("inspect", "m.onnx")
    assert (done.returncode, "m.onnx is an ONNX file; give a TensorRT plan" in done.stderr) == (2, True)


def test_a_model_that_triton_has_is_found_before_the_work(export, folder: Path) -> None:
    (folder / "served/m").mkdir(parents=True)
    error = export("--to", "m.onnx", "--triton", "served")
    assert (error.exit_code, "served/m exists" in str(error)) == (2, True)
    assert [path.name for path in folder.iterdir()] == ["served"]
