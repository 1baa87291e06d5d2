"""Speed on this machine: the bare engine, each stage on its own, and the whole pipeline, on the same frames in one run.

Machines drift, so all of them take turns, medians are reported, and the figures to watch are ratios.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.engines.base import Engine, FrameEngine
from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.render import Renderer
from rtparse.rivals import check_rivals, open_rivals
from rtparse.sinks import VideoSink
from rtparse.sources import open_source
from rtparse.sources.base import SourceInfo

SAMPLE = 48
"""Frames that the stages and the bare engine run on, spread over the measured part of the video."""
COMPARED = 8
"""Frames of a round on which other runtimes are compared with the engine."""
ROUNDS = 3
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Compared:
    """Another runtime. ms: a frame. ratio: its time over the engine's on the same frame, below 1 where it is faster.

    Medians over single runs.
    """

    ms: float
    ratio: float


@dataclass(frozen=True)
class BenchReport:
    """Medians over the rounds.

    stages_ms: milliseconds a frame of each stage alone on an otherwise idle process; they overlap in the pipeline.
    engine_fps: the engine on ready inputs, from host memory to host memory. pipeline_fps: file to parsed file, as
        `rtparse video` does it.
    latency_ms: "p50", "p95", "p99" of the milliseconds from a decoded frame to its labels, one frame in flight, over
        the frames of all rounds.
    against: other runtimes with the same network, by name.
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
    latency_ms: dict[str, float]
    against: dict[str, Compared]

    @property
    def ratio(self) -> float:
        """End to end over bare engine: 1 when everything else hides behind the engine."""
        return self.pipeline_fps / self.engine_fps


def bench(
    model: str | Path | Engine | None,
    source: str,
    frames: int,
    on_progress: Callable[[str], None] = lambda what: None,
    backend: str | None = None,
    against: Sequence[str] = (),
) -> BenchReport:
    """Measure on the first `frames` frames of a video file.

    model, backend: as in `Parser`. against: names of `rtparse.rivals.RIVALS` to compare the engine with.
    Raises UsageError for a live source or a name that cannot run the model, and what `Parser` raises.
    """
    with ExitStack() as stack:
        parser = stack.enter_context(Parser(model, backend=backend))
        engine = parser.engine
        check_rivals(against, engine.path)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        info, sample, counted = _sample(source, frames)
        frame_hw = sample[0].size_hw
        network_hw = network_size(frame_hw, engine.metadata.size_hw[0] * engine.metadata.size_hw[1], engine.sizes)
        letterbox = Letterbox.fit(frame_hw, network_hw)
        inputs = [preprocess(frame.image, letterbox, engine.metadata)[None] for frame in sample]
        logits = [engine.infer(batch)[0] for batch in inputs]
        upsample = Upsampler(letterbox, logits[0].shape[1:])
        parsings = [Parsing(frame, upsample(one)) for frame, one in zip(sample, logits, strict=True)]
        renderer = Renderer("overlay")
        pictures = [renderer(parsing) for parsing in parsings]
        on_progress("opening what the engine is compared with")
        rivals = stack.enter_context(open_rivals(against, engine.path))
        for rival in rivals.values():
            rival.infer(inputs[0])  # compiles
        label = stack.enter_context(_one_in_flight(parser, letterbox))
        label(sample[0])
        stages: dict[str, Callable[[], object]] = {
            "decode": lambda: _sample(source, frames),
            "preprocess": lambda: [preprocess(frame.image, letterbox, engine.metadata) for frame in sample],
            "engine": partial(_infer, engine, inputs),
            "postprocess": lambda: [upsample(one) for one in logits],
            "overlay": lambda: [renderer(parsing) for parsing in parsings],
            "encode": lambda: _encode(folder / "stage.mp4", info, parsings, pictures),
        }
        turns = {**stages, "pipeline": lambda: _pipeline(parser, source, frames, folder / "whole.mp4")}
        per = {"decode": counted, "pipeline": counted}
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        latencies: list[float] = []
        compared: list[list[float]] = []
        for number in range(ROUNDS):
            for name, turn in turns.items():
                on_progress(f"round {number + 1} of {ROUNDS}: {name}")
                seconds[name].append(_timed(turn) / per.get(name, len(sample)))
            on_progress(f"round {number + 1} of {ROUNDS}: latency")
            latencies += [_timed(partial(label, frame)) for frame in sample]
            on_progress(f"round {number + 1} of {ROUNDS}: comparison")
            compared += [_one_after_another([engine, *rivals.values()], batch) for batch in inputs[:COMPARED]]
        median = {name: float(np.median(values)) for name, values in seconds.items()}
        own, *others = np.array(compared).T
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
            latency_ms={f"p{each}": float(np.percentile(latencies, each)) * 1000 for each in PERCENTILES},
            against={
                name: Compared(float(np.median(each)) * 1000, float(np.median(each / own)))
                for name, each in zip(rivals, others, strict=True)
            },
        )


def _one_after_another(engines: Sequence[Engine], batch: NDArray[np.float32]) -> list[float]:
    """Seconds of each. Each runs twice, and the second run counts: caches and threads are its own by then."""
    seconds = []
    for engine in engines:
        engine.infer(batch)
        seconds.append(_timed(partial(engine.infer, batch)))
    return seconds


def _infer(engine: Engine, inputs: list[NDArray[np.float32]]) -> None:
    for batch in inputs:
        engine.infer(batch)


@contextmanager
def _one_in_flight(parser: Parser, letterbox: Letterbox) -> Iterator[Callable[[Frame], object]]:
    """From a frame to its labels, the way that a live stream's frames take."""
    if not isinstance(parser.engine, FrameEngine):
        yield parser
        return
    with parser.engine.frame_path(letterbox.network_hw, depth=1, smooth=0) as path:
        yield lambda frame: path.submit([(frame.image, letterbox)]).result()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _sample(source: str, frames: int) -> tuple[SourceInfo, list[Frame], int]:
    """Read `frames` frames, keep a few and count all."""
    with open_source(source) as opened:
        if opened.info.live:
            raise UsageError(f"{source} is live", "measure on a video file")
        step = max(1, min(frames, opened.info.frame_count or frames) // SAMPLE)
        kept: list[Frame] = []
        count = 0
        for frame in islice(opened, frames):
            if count % step == 0 and len(kept) < SAMPLE:
                kept.append(frame)
            count += 1
        return opened.info, kept, count


def _encode(path: Path, info: SourceInfo, parsings: list[Parsing], pictures: list[np.ndarray]) -> None:
    ready: Iterator[np.ndarray] = iter(pictures)
    sink = VideoSink(path, info, lambda parsing: next(ready))
    for parsing in parsings:
        sink.write(parsing)
    sink.finish()


def _pipeline(parser: Parser, source: str, frames: int, path: Path) -> None:
    with open_source(source) as opened:
        sink = VideoSink(path, opened.info, Renderer("overlay"), audio_from=source if opened.info.audio else None)
        for parsing in islice(parser.stream(opened), frames):
            sink.write(parsing)
        sink.finish()
