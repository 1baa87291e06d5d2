"""Hours of video must not fill memory: frames are never collected."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Parser
from rtparse.engines.fake import FakeEngine
from rtparse.render import Renderer
from rtparse.sinks.video import VideoSink
from rtparse.sources.base import SourceInfo

FRAMES = 2500
WARM = 500


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat_while_video_is_parsed_and_written(tmp_path: Path) -> None:
    person = np.zeros((90, 160), np.uint8)
    person[20:80, 60:100] = CLASSES.index("coat")
    person[20:35, 70:90] = CLASSES.index("face")
    noise = np.random.default_rng(0).integers(0, 256, (180, 320 + 64, 3), np.uint8)

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number in range(FRAMES):
            yield np.ascontiguousarray(noise[:, number % 64 : number % 64 + 320])

    info = SourceInfo("noise", 320, 180, Fraction(25))
    sink = VideoSink(tmp_path / "out.mp4", info, Renderer("overlay"))
    used = []
    with Parser(FakeEngine(person), smooth=0.5) as parser:
        for parsing in parser.stream(frames()):
            sink.write(parsing)
            used.append(resident_mib())
    sink.finish()
    assert len(used) == FRAMES
    assert max(used[WARM:]) < used[WARM] * 1.05
    assert max(used) < 800
