"""OpenVINO as rtparse imports it: nobody is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino_telemetry", reason="no OpenVINO, or one that has nothing to send")

LOOK = """
import sys, threading
import rtparse.engines.openvino
print(threading.active_count(), [name for name in sys.modules if name.startswith("openvino_telemetry")])
import openvino_telemetry
print(openvino_telemetry.Telemetry.__name__)
"""


def test_importing_it_sends_nothing_and_starts_no_thread() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == ["1 []", "Telemetry"], done.stderr
