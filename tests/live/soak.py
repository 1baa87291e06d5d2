"""Live parsing for as long as it is asked for, with a look at the process all the while.

    python tests/live/soak.py SECONDS SOURCES ENGINE FOLDER

SOURCES moving pictures come by UDP (H.264, from a process of their own) through ENGINE ("small", or an .onnx file) into
a recording and a file of JSON for each. FOLDER gets samples.json, soak.png and the outputs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from rtparse import Parser
from rtparse._cv import cv2
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.render import Renderer
from rtparse.sinks import Fanout, JsonlSink, NetworkSink, Output, SegmentSink
from rtparse.sources.live import LiveOptions, LiveSource
from rtparse.sources.live_open import open_live

SAMPLES = 400
SEGMENT_SECONDS = 60.0
END_SECONDS = 150.0
"""For the last frames, on a machine that is busy with other work."""
NAMES = ("seconds", "rss_mib", "descriptors", "threads", "p50_ms", "p99_ms", "fps_out", "reconnects")


def main(seconds: float, count: int, engine: str, folder: Path) -> None:
    ports = [_free_port() for _ in range(count)]
    size, fps = ((640, 360), 15) if count == 1 else ((320, 192), 6)
    command = [sys.executable, __file__, "--feed", f"{size[0]}", f"{size[1]}", f"{fps}", *map(str, ports)]
    feeder = subprocess.Popen(command)
    samples: dict[str, list[float]] = {name: [] for name in NAMES}
    try:
        _parse(seconds, ports, engine, folder, samples)
    finally:
        feeder.kill()
        feeder.wait()
        (folder / "samples.json").write_text(json.dumps(samples))
        if samples["seconds"]:
            _plot(samples, folder / "soak.png", f"{count} x {size[0]}x{size[1]} at {fps} FPS, {Path(engine).name}")


def _parse(seconds: float, ports: list[int], engine: str, folder: Path, samples: dict[str, list[float]]) -> None:
    with ExitStack() as opened:
        url = "udp://127.0.0.1:{}?fifo_size=4096&overrun_nonfatal=1"
        sources = [opened.enter_context(open_live(url.format(port), LiveOptions())) for port in ports]
        outputs: list[Output] = []
        for number in range(len(ports)):
            record = partial(SegmentSink, folder / "rec", Renderer(), name=f"source-{number}", seconds=SEGMENT_SECONDS)
            lines = partial(JsonlSink, folder / f"{number}.jsonl", live=True)
            outputs.append(Output(f"recording {number}", record, keep=True, source=number))
            outputs.append(Output(f"lines {number}", lines, keep=True, source=number))
        out = Fanout(outputs, written=lambda parsing: sources[parsing.frame.source].delivered(parsing.frame))
        parser = opened.enter_context(Parser(None if engine == "small" else engine))
        work = threading.Thread(target=_work, args=(parser, sources, out), daemon=True)
        work.start()
        until = time.monotonic() + 30
        while any(source.statistics().frames_out == 0 for source in sources) and time.monotonic() < until:
            time.sleep(0.1)
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            _sample(samples, now, sources)
            time.sleep(max(0.1, seconds / SAMPLES))
        for source in sources:
            source.close()
        work.join(END_SECONDS)
        out.finish()
        failed = [state for state in out.states if state.error or state.lost]
        assert not work.is_alive(), "the stream did not end"
        assert not failed, failed


def _work(parser: Parser, sources: list[LiveSource], out: Fanout) -> None:
    with parser.stream(list(sources)) as stream:
        for parsing in stream:
            out.write(parsing)


def _sample(samples: dict[str, list[float]], now: float, sources: list[LiveSource]) -> None:
    statistics = [source.statistics() for source in sources]
    values = {
        "seconds": now,
        "rss_mib": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names, not paths
        "threads": threading.active_count(),
        "p50_ms": 1000 * max(each.latency_p50 or 0.0 for each in statistics),
        "p99_ms": 1000 * max(each.latency_p99 or 0.0 for each in statistics),
        "fps_out": sum(each.fps_out for each in statistics),
        "reconnects": sum(each.reconnects for each in statistics),
    }
    for name, value in values.items():
        samples[name].append(value)


def _plot(samples: dict[str, list[float]], path: Path, title: str) -> None:
    """A curve for each thing that was sampled, one below the other, each from 0."""
    shown = [name for name in samples if name != "seconds"]
    row, width, left = 130, 1000, 170
    picture = np.full((40 + row * len(shown) + 30, left + width + 30, 3), 255, np.uint8)
    text = partial(cv2.putText, picture, fontFace=cv2.FONT_HERSHEY_SIMPLEX, thickness=1, lineType=cv2.LINE_AA)
    text(text=title, org=(10, 26), fontScale=0.6, color=(50, 44, 40))
    times = np.array(samples["seconds"])
    for i, name in enumerate(shown):
        values = np.array(samples[name])
        top, bottom = 50 + i * row, 50 + i * row + row - 30
        highest = max(values.max() * 1.1, 1)
        cv2.line(picture, (left, bottom), (left + width, bottom), (220, 216, 212), 1)
        points = np.stack(
            [left + times / max(times[-1], 1e-9) * width, bottom - values / highest * (bottom - top)], axis=-1
        )
        cv2.polylines(picture, [points.round().astype(np.int32)], False, (128, 78, 32), 1, cv2.LINE_AA)
        text(text=name, org=(10, top + 40), fontScale=0.5, color=(50, 44, 40))
        text(text=f"{values[0]:.0f} to {values[-1]:.0f}", org=(10, top + 60), fontScale=0.45, color=(130, 122, 116))
    text(text=f"{times[-1]:.0f} s", org=(left + width - 50, picture.shape[0] - 10), fontScale=0.5, color=(50, 44, 40))
    cv2.imwrite(str(path), picture)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def feed(width: int, height: int, fps: int, ports: list[int]) -> None:
    """Someone walks through a blurred picture, from now on, to every port."""
    from rtparse.train.synthetic import render_scene

    scene = render_scene(np.random.default_rng(3), (height, 2 * width)).image_bgr
    sinks = [NetworkSink(f"udp://127.0.0.1:{port}", lambda parsing: parsing.frame.image) for port in ports]
    labels = np.zeros((height, width), np.uint8)
    began = time.monotonic()
    number = 0
    while True:
        at = round(width / 2 * (1 + np.sin(number / 20)))
        picture = np.ascontiguousarray(scene[:, at : at + width])
        for sink in sinks:
            sink.write(Parsing(Frame(picture, number / fps, number), labels))
        number += 1
        time.sleep(max(0.0, began + number / fps - time.monotonic()))


if __name__ == "__main__":
    if sys.argv[1] == "--feed":
        feed(*map(int, sys.argv[2:5]), [int(port) for port in sys.argv[5:]])  # type: ignore[misc]
    else:
        main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
