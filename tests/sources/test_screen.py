"""The screen of a real X server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from rtparse.errors import SourceError, UsageError
from rtparse.sources.live import LiveOptions
from rtparse.sources.live_open import open_live


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb: apt-get install xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-wr", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, (240, 320)),  # all of it
        ((100, 60), (60, 100)),  # a part
    ],
)
def test_a_screen_is_seen(display: str, size: tuple[int, int] | None, expected: tuple[int, int]) -> None:
    source = open_live(f"screen:{display}", LiveOptions(size=size, fps=20, keep_all=True))
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 20:
            break
    assert {frame.size_hw for frame in frames} == {expected}
    assert (frames[-1].image > 240).mean() > 0.9  # -wr: white
    assert frames[-1].pts - frames[0].pts == pytest.approx(19 / 20, abs=0.25)


def test_no_such_display() -> None:
    with pytest.raises(SourceError, match=":98765"):
        list(open_live("screen::98765", LiveOptions(attempts=1)))


def test_no_display_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UsageError, match="DISPLAY"):
        list(open_live("screen"))
