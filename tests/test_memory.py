"""Hours of video must not fill memory: frames are never collected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

FRAMES = 2500
WARM = 500

# In a process of its own: what other tests freed would hide a growth, and what they left would look like one.
PROGRAM = """
import json, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from rtparse import CLASSES, Parser
from rtparse.engines.fake import FakeEngine
from rtparse.render import Renderer
from rtparse.sinks import VideoSink
from rtparse.sources.base import SourceInfo

person = np.zeros((90, 160), np.uint8)
person[20:80, 60:100] = CLASSES.index("coat")
person[20:35, 70:90] = CLASSES.index("face")
noise = np.random.default_rng(0).integers(0, 256, (180, 320 + 64, 3), np.uint8)
frames = (np.ascontiguousarray(noise[:, n % 64 : n % 64 + 320]) for n in range(int(sys.argv[2])))
sink = VideoSink(Path(sys.argv[1]), SourceInfo("noise", 320, 180, Fraction(25)), Renderer("overlay"))
used = []
with Parser(FakeEngine(person), smooth=0.5) as parser:
    for parsing in parser.stream(frames):
        sink.write(parsing)
        used.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
sink.finish()
json.dump(used, sys.stdout)
"""


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_memory_stays_flat_while_video_is_parsed_and_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out.mp4"), str(FRAMES)]
    used = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(used) == FRAMES
    # Medians, since buffers come and go by some megabytes; a kept frame of 0.2 MB would add 500 by the end.
    assert median(used[-WARM:]) < median(used[WARM : 2 * WARM]) * 1.05
    assert max(used) < 800


SEVERAL = """
import json, sys, time
from pathlib import Path
import numpy as np
from rtparse import Parser
from rtparse.engines import open_engine

noise = np.random.default_rng(0).integers(0, 256, (90, 160 + 64, 3), np.uint8)
def frames(count, pause):
    for n in range(count):
        time.sleep(pause)
        yield np.ascontiguousarray(noise[:, n % 64 : n % 64 + 160])

engine = open_engine(sys.argv[1], "onnxruntime")
engine.batch = 3
used = []
with Parser(engine, smooth=0.5) as parser:
    # Three fast ones, a slow one, and a hundred that come and go.
    sources = [frames(1100, 0), frames(1100, 0), frames(1100, 0), frames(40, 0.02), *(frames(9, 0) for _ in range(100))]
    for parsing in parser.stream(sources):
        used.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
json.dump(used, sys.stdout)
"""


@linux
def test_memory_stays_flat_while_many_sources_are_parsed(tiny_onnx: Path) -> None:
    command = [sys.executable, "-c", SEVERAL, str(tiny_onnx)]
    used = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(used) == 3 * 1100 + 40 + 900
    # A frame and its labels are 0.06 MB: kept ones would add 120 MB in between.
    assert median(used[-WARM:]) < median(used[2 * WARM : 3 * WARM]) * 1.05
    assert max(used) < 800
