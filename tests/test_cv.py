"""The door to OpenCV: a real interpreter, a cv2 that fails as the wheel does on a bare machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("cv2_source", "expected"),
    [
        # the wheel on a Debian without libgl1
        ('raise ImportError("libGL.so.1: cannot open shared object file")', "apt-get install libgl1 libglib2.0-0"),
        # no wheel
        ("raise ModuleNotFoundError(\"No module named 'cv2'\")", "pip install opencv-python"),
    ],
)
def test_a_cv2_that_does_not_load_names_the_cure(tmp_path: Path, cv2_source: str, expected: str) -> None:
    (tmp_path / "cv2.py").write_text(cv2_source)
    code = (
        "from rtparse.errors import RtparseError\n"
        "try:\n    import rtparse._cv\n"
        "except RtparseError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected in ran.stdout
    assert len(ran.stdout.splitlines()) == 1
