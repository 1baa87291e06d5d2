"""TensorBoard files of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FULL = """
import resource, sys
from pathlib import Path
from rtparse.classes import PALETTE_RGB
from rtparse.errors import SinkError
from rtparse.train.board import Board
from rtparse.train.loop import StepReport

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # as a full disk: a write comes back with an error
try:
    with Board(Path(sys.argv[1]), 0, [], PALETTE_RGB) as board:
        for step in range(1, 2000):
            board.write(StepReport(step, 1.0, 1.0, 0.0, 1e-3, 2, 1.0, 0.0))
except SinkError as error:
    print(error)
"""


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path} cannot be written (File too large)"), done.stdout
