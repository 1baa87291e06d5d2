"""The ranges as a profiler sees them: NVTX's own way of loading one, with a profiler that writes them down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FRAMES = 5
PARSE = """
import sys
from itertools import islice
from rtparse import Parser
with Parser(sys.argv[1]) as parser, parser.stream(sys.argv[2]) as stream:
    print(*(int(parsing.labels.sum()) for parsing in islice(stream, int(sys.argv[3]))))
"""
HIDE = "import sys; sys.modules['nvtx'] = None\n"


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nvtx")
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")
    library = tmp_path_factory.mktemp("nvtx") / "recorder.so"
    source = HERE / "nvtx_recorder.cpp"
    subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def parse(program: str, model: Path, **environment: str) -> str:
    clip = HERE.parent / "examples/walk.mp4"
    command = [sys.executable, "-c", program, str(model), str(clip), str(FRAMES)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_profiler_sees_every_stage_of_every_frame(recorder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    record = tmp_path / "ranges.txt"
    parse(PARSE, tiny_onnx, NVTX_INJECTION64_PATH=str(recorder), NVTX_RECORD=str(record))
    open_ranges: dict[str, list[str]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for line in record.read_text().splitlines():
        thread, what, domain, *name = line.split(" ", 3)
        assert domain == "rtparse"
        if what == "+":
            open_ranges[thread].append(name[0])
            seen[name[0]] += 1
        else:
            open_ranges[thread].pop()
    assert not any(open_ranges.values())
    assert len(open_ranges) >= 3  # reading, computing and finishing have threads of their own
    for stage in ("read", "preprocess", "engine", "postprocess"):
        assert seen[stage] >= FRAMES


def test_without_nvtx_or_a_profiler_the_labels_are_the_same(tiny_onnx: Path) -> None:
    assert parse(PARSE, tiny_onnx) == parse(HIDE + PARSE, tiny_onnx)
