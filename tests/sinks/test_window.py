"""Windows need a display: the tests that show one start a virtual one (Xvfb) where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from rtparse.errors import SinkError
from rtparse.sinks.window import WindowSink

SHOW = """
import time
import cv2
import numpy as np
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.base import WindowClosed
from rtparse.sinks.window import WindowSink

picture = np.zeros((90, 160, 3), np.uint8)
sink = WindowSink("rtparse", lambda parsing: parsing.frame.image)
for index in range(20):
    if index == 10:
        cv2.destroyWindow("rtparse")  # as its button does
        cv2.waitKey(1)
    try:
        sink.write(Parsing(Frame(picture), picture[:, :, 0]))
    except WindowClosed:
        print("closed at", index)
        break
sink.finish()
"""


@pytest.fixture
def display() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24"], pass_fds=(write,), stderr=subprocess.DEVNULL
    )
    os.close(write)
    try:
        with os.fdopen(read) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


def test_a_window_shows_until_it_is_closed(display: str) -> None:
    environment = os.environ | {"DISPLAY": display}
    ran = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "closed at 10\n", ran.stderr
    assert ran.stderr == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize(("value", "said"), [("", "DISPLAY is not set"), (":4097", "no window can be opened")])
def test_without_a_display_it_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", value)
    with pytest.raises(SinkError, match=said) as caught:
        WindowSink("rtparse", lambda parsing: np.zeros((2, 2, 3), np.uint8))
    assert "\n" not in str(caught.value)


SHOW_TWO = """
import threading, time
import cv2
import numpy as np
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks import Fanout, Output, WindowsSink

picture = np.zeros((90, 160, 3), np.uint8)
view = lambda parsing: parsing.frame.image
out = Fanout([Output("window", lambda: WindowsSink(["left", "right"], [view, view]))])
until = time.monotonic() + 10
while out.states[0].written < 4 and time.monotonic() < until:
    for number in range(2):
        out.write(Parsing(Frame(picture, source=number), picture[:, :, 0]))
    time.sleep(0.05)
print(out.states[0].written >= 4, out.states[0].error)
print(out.watched)
press()
while out.watched and time.monotonic() < until:
    time.sleep(0.05)  # no frame comes
print(out.watched)
out.finish()
print([each.name for each in threading.enumerate()])
"""


def test_several_windows_answer_their_user_while_nothing_comes(display: str) -> None:
    press = 'def press():\n    cv2.waitKey = lambda pause: ord("q")\n'  # no tool here presses keys for X11
    code = SHOW_TWO.replace("picture = np", press + "\npicture = np", 1)
    environment = os.environ | {"DISPLAY": display}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines() == ["True None", "True", "False", "['MainThread']"], ran.stderr
