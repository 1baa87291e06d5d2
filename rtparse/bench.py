"""Speed on this machine: the bare engine, each stage on its own, and the whole pipeline, on the same frames in one run.

Machines drift, so engine and pipeline take turns, medians are reported, and the figure to watch is their ratio.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.render import Renderer
from rtparse.sinks import VideoSink
from rtparse.sources import open_source
from rtparse.sources.base import SourceInfo

SAMPLE = 48
"""Frames that the stages and the bare engine run on, spread over the measured part of the video."""
ROUNDS = 3


@dataclass(frozen=True)
class BenchReport:
    """Medians over the rounds.

    stages_ms: milliseconds a frame of each stage alone on an otherwise idle process; they overlap in the pipeline.
    engine_fps: the engine on ready inputs. pipeline_fps: file to parsed file, as `rtparse video` does it.
    """

    source: str
    frame_hw: tuple[int, int]
    network_hw: tuple[int, int]
    engine: str
    frames: int
    rounds: int
    stages_ms: dict[str, float]
    engine_fps: float
    pipeline_fps: float

    @property
    def ratio(self) -> float:
        """End to end over bare engine: 1 when everything else hides behind the engine."""
        return self.pipeline_fps / self.engine_fps


def bench(
    model: str | None,
    source: str,
    frames: int,
    on_progress: Callable[[str], None] = lambda what: None,
    backend: str | None = None,
) -> BenchReport:
    """Measure on the first `frames` frames of a video file. Raises UsageError for a live source.

    model, backend: as in `Parser`.
    """
    info, sample = _sample(source, frames)
    with Parser(model, backend=backend) as parser, tempfile.TemporaryDirectory() as folder:
        engine = parser.engine
        frame_hw = sample[0].size_hw
        network_hw = network_size(frame_hw, engine.metadata.size_hw[0] * engine.metadata.size_hw[1], engine.sizes)
        letterbox = Letterbox.fit(frame_hw, network_hw)
        inputs = [preprocess(frame.image, letterbox, engine.metadata)[None] for frame in sample]
        logits = [engine.infer(batch)[0] for batch in inputs]
        upsample = Upsampler(letterbox, logits[0].shape[1:])
        parsings = [Parsing(frame, upsample(one)) for frame, one in zip(sample, logits, strict=True)]
        renderer = Renderer("overlay")
        pictures = [renderer(parsing) for parsing in parsings]
        stages: dict[str, Callable[[], object]] = {
            "decode": lambda: _sample(source, frames),
            "preprocess": lambda: [preprocess(frame.image, letterbox, engine.metadata) for frame in sample],
            "engine": lambda: [engine.infer(batch) for batch in inputs],
            "postprocess": lambda: [upsample(one) for one in logits],
            "overlay": lambda: [renderer(parsing) for parsing in parsings],
            "encode": lambda: _encode(Path(folder) / "stage.mp4", info, parsings, pictures),
        }
        seconds: dict[str, list[float]] = {name: [] for name in [*stages, "pipeline"]}
        counted = 0
        for number in range(ROUNDS):
            for name, stage in stages.items():
                on_progress(f"round {number + 1} of {ROUNDS}: {name}")
                seconds[name].append(_timed(stage) / (frames if name == "decode" else len(sample)))
            on_progress(f"round {number + 1} of {ROUNDS}: pipeline")
            started = time.perf_counter()
            counted = _pipeline(parser, source, frames, Path(folder) / "whole.mp4")
            seconds["pipeline"].append((time.perf_counter() - started) / counted)
        median = {name: float(np.median(values)) for name, values in seconds.items()}
        return BenchReport(
            source=source,
            frame_hw=frame_hw,
            network_hw=network_hw,
            engine=f"{engine.kind} {Path(engine.path).name}",
            frames=counted,
            rounds=ROUNDS,
            stages_ms={name: median[name] * 1000 for name in stages},
            engine_fps=1 / median["engine"],
            pipeline_fps=1 / median["pipeline"],
        )


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _sample(source: str, frames: int) -> tuple[SourceInfo, list[Frame]]:
    """Read `frames` frames and keep a few."""
    with open_source(source) as opened:
        if opened.info.live:
            raise UsageError(f"{source} is live", "measure on a video file")
        step = max(1, min(frames, opened.info.frame_count or frames) // SAMPLE)
        kept = [frame for number, frame in enumerate(islice(opened, frames)) if number % step == 0]
        return opened.info, kept[:SAMPLE]


def _encode(path: Path, info: SourceInfo, parsings: list[Parsing], pictures: list[np.ndarray]) -> None:
    ready: Iterator[np.ndarray] = iter(pictures)
    sink = VideoSink(path, info, lambda parsing: next(ready))
    for parsing in parsings:
        sink.write(parsing)
    sink.finish()


def _pipeline(parser: Parser, source: str, frames: int, path: Path) -> int:
    with open_source(source) as opened:
        sink = VideoSink(path, opened.info, Renderer("overlay"), audio_from=source if opened.info.audio else None)
        count = 0
        for parsing in islice(parser.stream(opened), frames):
            sink.write(parsing)
            count += 1
        sink.finish()
    return count
