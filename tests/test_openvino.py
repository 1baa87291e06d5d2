"""OpenVINO as rtparse uses it: nobody is told that it is, signals find their stack, and threads what they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

LOOK = """
import sys, threading
import rtparse.engines.openvino
print(threading.active_count(), [name for name in sys.modules if name.startswith("openvino_telemetry")])
import openvino_telemetry
print(openvino_telemetry.Telemetry.__name__)
"""


INTERRUPTED = """
import faulthandler, os, signal
faulthandler.enable()  # signals have a stack of their own from here on
from rtparse.engines.openvino import OpenVinoEngine
from rtparse.models import resolve
first = OpenVinoEngine(resolve("small"))
second = OpenVinoEngine(resolve("small"))
first.close()
second.close()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


ITERATORS = """
import numpy as np
from rtparse._openvino import ov
from rtparse.engines.openvino import OpenVinoEngine
from rtparse.models import resolve

def iterators():
    return sum(each.__name__ == "iterator" for each in ov.Shape.__mro__[1].__subclasses__())

engine = OpenVinoEngine(resolve("nano"))
before = iterators()
engine.infer(np.zeros((1, 3, 32, 48), np.float32))
print(before > 0, iterators() - before)
"""


def test_runs_find_the_types_of_all_iterators() -> None:
    """Two threads that made one at once spoilt it for each other: a run failed in one of some thousand videos."""
    done = subprocess.run([sys.executable, "-c", ITERATORS], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "True 0\n", done.stderr


def test_ctrl_c_survives_models_that_are_closed_in_any_order() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_importing_it_sends_nothing_and_starts_no_thread() -> None:
    pytest.importorskip("openvino_telemetry", reason="this OpenVINO has nothing to send")
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == ["1 []", "Telemetry"], done.stderr
