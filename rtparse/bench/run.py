"""The bare engine, each stage on its own, and the whole pipeline, on the same frames in one run.

Machines drift, so all of them take turns, medians are reported, and the figures to watch are ratios.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.bench.gpu import GpuBench
from rtparse.bench.report import BenchReport, Compared
from rtparse.bench.rivals import ON_GPU, RIVALS, Rivals, check_rivals, open_rivals
from rtparse.device.kernels import Compiler
from rtparse.device.runner import Runner
from rtparse.engines.base import Engine, FrameEngine
from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.render import Renderer
from rtparse.sinks import Sink, VideoSink
from rtparse.sources import Source, open_source
from rtparse.sources.base import SourceInfo

SAMPLE = 48
"""Frames that the stages and the bare engine run on, spread over the measured part of the video."""
COMPARED = 8
"""Frames of a round on which other runtimes are compared with the engine."""
ROUNDS = 3
PERCENTILES = (50, 90, 99)

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
View = Callable[[Parsing], NDArray[np.uint8]]
MakeSink = Callable[[Path, Source, View, str | None], Sink]
"""Of a path, a source, a view and where its sound comes from."""


def video_sink(path: Path, source: Source, view: View, sound: str | None) -> Sink:
    """A video that FFmpeg encodes."""
    return VideoSink(path, source.info, view, sound)


def bench(
    model: str | Path | Engine | None,
    source: str,
    frames: int,
    on_progress: Callable[[str], None] = lambda what: None,
    backend: str | None = None,
    against: Sequence[str] | None = None,
    network: str | Path | None = None,
    sink: MakeSink = video_sink,
    compiler: Compiler = compile_kernel,
) -> BenchReport:
    """Measure on the first `frames` frames of a video file.

    model, backend: as in `Parser`. against: names of `rtparse.bench.rivals.RIVALS` to compare the engine with; None is
        all that can use its GPU, and nothing for an engine on the CPU. network: the file that they run, for a plan,
        which holds nothing that they could read. sink: of the whole pipeline. compiler: as for `FramePath`.
    Raises UsageError for a live source or a name that cannot run the model, and what `Parser` raises.
    """
    with ExitStack() as stack:
        parser = stack.enter_context(Parser(model, backend=backend))
        engine = parser.engine
        compared_with = str(network or engine.path)
        names, skipped = _names(against, compared_with, isinstance(engine, FrameEngine))
        check_rivals(names, compared_with)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        info, sample, counted = _sample(source, frames)
        frame_hw = sample[0].size_hw
        network_hw = network_size(frame_hw, engine.metadata.size_hw[0] * engine.metadata.size_hw[1], engine.sizes)
        letterbox = Letterbox.fit(frame_hw, network_hw)
        on_gpu = stack.enter_context(GpuBench(engine, letterbox, compiler)) if isinstance(engine, FrameEngine) else None
        infer = stack.enter_context(_bare(engine, network_hw))
        inputs = [preprocess(frame.image, letterbox, engine.metadata)[None] for frame in sample]
        logits = [infer(batch)[0] for batch in inputs]
        upsample = Upsampler(letterbox, logits[0].shape[1:])
        parsings = [Parsing(frame, upsample(one)) for frame, one in zip(sample, logits, strict=True)]
        renderer = Renderer("overlay")
        pictures = [renderer(parsing) for parsing in parsings]
        on_progress("opening what the engine is compared with")
        rivals: Rivals = stack.enter_context(
            open_rivals(names, compared_with, inputs[0], on_gpu=isinstance(engine, FrameEngine))
        )
        label = stack.enter_context(_one_in_flight(parser, letterbox))
        label(sample[0])
        stages: dict[str, Callable[[], object]] = {
            "decode": lambda: _sample(source, frames),
            "preprocess": lambda: [preprocess(frame.image, letterbox, engine.metadata) for frame in sample],
            "engine": lambda: [infer(batch) for batch in inputs],
            "postprocess": lambda: [upsample(one) for one in logits],
            "overlay": lambda: [renderer(parsing) for parsing in parsings],
            "encode": lambda: _encode(folder / "stage.mp4", info, parsings, pictures),
        }
        if on_gpu:  # which computes them on the way
            del stages["preprocess"], stages["postprocess"]
        turns = {
            **stages,
            "labels": lambda: _labels(parser, sample, counted),
            "pipeline": lambda: _pipeline(parser, source, frames, folder / "whole.mp4", sink),
        }
        per = {"decode": counted, "labels": counted, "pipeline": counted}
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        latencies: list[float] = []
        compared: list[list[float]] = []
        gpu_rounds: list[dict[str, float]] = []
        for number in range(ROUNDS):
            for name, turn in turns.items():
                on_progress(f"round {number + 1} of {ROUNDS}: {name}")
                seconds[name].append(_timed(turn) / per.get(name, len(sample)))
            on_progress(f"round {number + 1} of {ROUNDS}: latency")
            latencies += [_timed(partial(label, frame)) for frame in sample]
            on_progress(f"round {number + 1} of {ROUNDS}: comparison")
            others = [rival.infer for rival in rivals.engines.values()]
            compared += [_one_after_another([infer, *others], batch) for batch in inputs[:COMPARED]]
            if on_gpu:
                on_progress(f"round {number + 1} of {ROUNDS}: the GPU")
                gpu_rounds.append(on_gpu.round())
        median = {name: float(np.median(values)) for name, values in seconds.items()}
        own, *theirs = np.array(compared).T
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
            labels_fps=1 / median["labels"],
            latency_ms={f"p{each}": float(np.percentile(latencies, each)) * 1000 for each in PERCENTILES},
            against={
                name: Compared(float(np.median(each)) * 1000, float(np.median(each / own)))
                for name, each in zip(rivals.engines, theirs, strict=True)
            },
            skipped=skipped | rivals.skipped,
            gpu=on_gpu.report(gpu_rounds) if on_gpu else None,
        )


def _names(against: Sequence[str] | None, model: str, on_gpu: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """What to compare with, and what is left out of a default because it cannot run that file."""
    if against is not None:
        return tuple(against), {}
    names, skipped = [], {}
    for name in ON_GPU if on_gpu else ():
        if Path(model).suffix.lower() in RIVALS[name]:
            names.append(name)
        else:
            skipped[name] = f"it cannot run {model or 'this engine'}; give the network's file with --network"
    return tuple(names), skipped


@contextmanager
def _bare(engine: Engine, network_hw: tuple[int, int]) -> Iterator[Infer]:
    """From network inputs in host memory to logits there; on a GPU by the very network that frames pass."""
    if not isinstance(engine, FrameEngine):
        yield engine.infer
        return
    with Runner(*engine.device_network(network_hw)) as runner:
        yield runner.infer


def _one_after_another(all_infer: Sequence[Infer], batch: NDArray[np.float32]) -> list[float]:
    """Seconds of each. Each runs twice, and the second run counts: caches and threads are its own by then."""
    seconds = []
    for infer in all_infer:
        infer(batch)
        seconds.append(_timed(partial(infer, batch)))
    return seconds


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


def _labels(parser: Parser, sample: list[Frame], frames: int) -> None:
    """So many frames that were decoded before, one after the other."""
    for _ in parser.stream(islice(cycle(sample), frames)):
        pass


def _pipeline(parser: Parser, source: str, frames: int, path: Path, make_sink: MakeSink) -> None:
    with parser.open(source) as opened:
        sink = make_sink(path, opened, Renderer("overlay"), source if opened.info.audio else None)
        for parsing in islice(parser.stream(opened), frames):
            sink.write(parsing)
        sink.finish()
