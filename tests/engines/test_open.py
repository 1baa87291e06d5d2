"""Which engine a file gets, and what is said of those that are not available."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtparse.engines import BACKENDS, available_engines, open_engine
from rtparse.engines.ort import providers
from rtparse.errors import UsageError


def test_the_extension_names_the_engine(tiny_onnx: Path, tmp_path: Path) -> None:
    upper = tmp_path / "TINY.ONNX"
    upper.write_bytes(tiny_onnx.read_bytes())
    with open_engine(upper) as engine:
        assert engine.kind in BACKENDS
        assert engine.path == str(upper)
    for backend in BACKENDS:
        with open_engine(upper, backend) as engine:
            assert engine.kind == backend


def test_openvino_is_taken_where_it_is_installed_and_nothing_accelerates_onnx_runtime(tiny_onnx: Path) -> None:
    pytest.importorskip("openvino")
    with open_engine(tiny_onnx) as engine:
        assert engine.kind == ("openvino" if providers() == ["CPUExecutionProvider"] else "onnxruntime")


@pytest.mark.parametrize(
    ("file", "backend", "message"),
    [
        ("model.onnx", "tensorflow", "no backend 'tensorflow'; choose from: onnxruntime, openvino"),
        ("model.safetensors", "openvino", "no choice of backends; openvino runs .onnx files"),
    ],
)
def test_a_backend_that_cannot_be_meant_is_wrong_use(file: str, backend: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_engine(file, backend)


def test_an_unknown_extension_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.pt'; give an \.onnx"):
        open_engine(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["model.plan", "model.engine"])
def test_a_missing_plan_is_wrong_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"no file .*{name}; give a TensorRT plan"):
        open_engine(tmp_path / name)


def test_a_missing_checkpoint_is_wrong_use(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="no file"):
        open_engine(tmp_path / "none.safetensors")


def test_every_engine_says_whether_it_is_available() -> None:
    found = {status.kind: status for status in available_engines()}
    assert list(found) == ["onnxruntime", "openvino", "torch", "tensorrt", "tensorrt-rtx"]
    assert found["onnxruntime"].available
    assert found["onnxruntime"].version
    for status in found.values():
        assert status.available == (status.reason == "")


def test_without_torch_a_checkpoint_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rtparse.engines import open_engine\n"
        "from rtparse.errors import MissingDependencyError\n"
        "try: open_engine('model.safetensors')\n"
        "except MissingDependencyError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == 'torch is not installed; run: pip install "rtparse[train]"'


def test_without_openvino_files_run_in_onnx_runtime(tiny_onnx: Path) -> None:
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from rtparse.engines import open_engine\n"
        "from rtparse.errors import MissingDependencyError\n"
        "print(open_engine(sys.argv[1]).kind)\n"
        "try: open_engine(sys.argv[1], 'openvino')\n"
        "except MissingDependencyError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tiny_onnx], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [
        "onnxruntime",
        'openvino is not installed; run: pip install "rtparse[openvino]"',
    ]


def test_openvino_is_imported_only_where_it_runs(tiny_onnx: Path) -> None:
    code = (
        "import sys; from rtparse.engines import available_engines, open_engine\n"
        "available_engines(); open_engine(sys.argv[1], 'onnxruntime'); print('openvino' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tiny_onnx], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
