"""Runs the tests of on_gpu/ on the stand-in driver, each file in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CANNOT_BUILD = 77  # of run_on_standin.py


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("driver")


@pytest.mark.parametrize("file", sorted(path.name for path in (HERE / "on_gpu").glob("test_*.py")))
def test_on_the_standin(file: str, driver: Path) -> None:
    command = [sys.executable, HERE / "run_on_standin.py", "--driver", driver, HERE / "on_gpu" / file, "-q"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode == CANNOT_BUILD:
        pytest.skip(ended.stdout.strip().splitlines()[-1])
    assert ended.returncode == 0, ended.stdout


def test_where_pycuda_cannot_be_built_it_says_why(tmp_path: Path) -> None:
    bare = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    command = [sys.executable, HERE / "run_on_standin.py"]
    ended = subprocess.run(command, env=os.environ | bare, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (CANNOT_BUILD, "")
    assert ended.stdout.strip() == "no g++ on PATH to build PyCUDA with"
