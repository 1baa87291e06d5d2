"""One worker: an engine that is loaded once, and videos or parts of them through it, one after the other."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock

from rtparse._cv import cv2
from rtparse.batch.inputs import Fetcher
from rtparse.batch.job import DAMAGED, DONE, Options, Record, Work, failed
from rtparse.batch.models import Model, open_model
from rtparse.batch.names import shown
from rtparse.batch.parts import LabelsDigest, PartsSink, read_rows
from rtparse.batch.store import PARTS, Store
from rtparse.errors import ClusterError, EngineError, RtparseError
from rtparse.parser import Parser
from rtparse.render import Renderer
from rtparse.sinks import Sink, VideoSink
from rtparse.sinks.label_video import LabelVideoSink
from rtparse.sources import Source
from rtparse.sources.segment import SegmentSource
from rtparse.sources.video import VideoSource

OUTPUTS = {"labels": "labels.mkv", "overlay": "overlay.mp4", "stats": "parts.parquet"}
"""What is kept, and the name of its file."""
RECORD = "record.json"
"""Written last: where it is, the files beside it are whole."""


@dataclass(frozen=True)
class Setup:
    """What a worker is made for. cpus: threads of its engine. gpu: whether a GPU is reserved for it."""

    store: Store
    options: Options
    cpus: int
    gpu: bool = False


@dataclass(frozen=True)
class About:
    """name: its machine and process. device: the kind of its engine, and whether a GPU is reserved for it."""

    name: str
    device: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a piece of work. kept: it had been done before."""

    record: Record
    kept: bool = False


@dataclass(frozen=True)
class Progress:
    """What a worker is at: a folder's name, frames done and, where the file tells, in all."""

    name: str = ""
    frames: int = 0
    total: int | None = None


class Worker:
    """For one thread; `progress` and `stop` may be called from another."""

    def __init__(self, setup: Setup, model: Model) -> None:
        """Load the engine. Raises ClusterError where that fails."""
        self._setup = setup
        self._fetcher = Fetcher()
        self._progress = Progress()
        self._turn = Lock()
        self._stopped = Event()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        cv2.setNumThreads(setup.cpus)
        options = setup.options
        try:
            engine = open_model(model, backend=options.backend, threads=setup.cpus, gpu=setup.gpu)
            self._parser = Parser(engine, size=options.size, smooth=options.smooth)
        except RtparseError as error:
            raise ClusterError(f"a worker on {self._name} cannot start: {error}") from None
        device = f"{engine.kind}{', GPU' if setup.gpu else ''}"
        self._about = About(self._name, device, engine.metadata.classes)

    def about(self) -> About:
        """Answers when the engine is loaded."""
        return self._about

    def progress(self) -> Progress:
        """What it is at."""
        return self._progress

    def stop(self) -> None:
        """Leave what it is at, and nothing on this machine. Returns when that is done."""
        self._stopped.set()
        with self._turn:
            self._fetcher.close()

    def run(self, work: Work) -> Outcome:
        """Parse a video or a part of one and write what is kept of it, unless that is there already.

        What is wrong with the video or the output is in the record; raises EngineError, after which the worker is to
        be replaced.
        """
        with self._turn:
            return self._run(work)

    def _run(self, work: Work) -> Outcome:
        store, options = self._setup.store, self._setup.options
        key = options.key(work.video)
        started, used = time.perf_counter(), time.process_time()
        try:
            if before := finished(store, folder_of(work), key):
                return Outcome(before, kept=True)
            path = self._fetcher.fetch(work.video.uri)
            with store.staging() as staging:
                record = self._parse(path, work, staging, key)
                record = replace(
                    record,
                    seconds=time.perf_counter() - started,
                    cpu_seconds=time.process_time() - used,
                    finished=time.time(),
                )
                publish(store, staging, folder_of(work), record)
            return Outcome(record)
        except EngineError:
            raise
        except RtparseError as error:
            lost = failed(work.video, key, options.engine, str(error))
        except Exception as error:  # of a library: it is this video's, the others go on
            lost = failed(work.video, key, options.engine, f"{type(error).__name__}: {error}")
        finally:
            self._progress = Progress()
        return Outcome(replace(lost, worker=self._name, seconds=time.perf_counter() - started))

    def _parse(self, path: Path, work: Work, staging: Path, key: str) -> Record:
        """Fill the staging folder with the outputs, whole."""
        source, first_pts = self._open(path, work)
        info = source.info
        total = work.span.frames if work.span else info.frame_count
        frames = 0
        with ExitStack() as unfinished:
            unfinished.callback(source.close)
            sinks = self._sinks(staging, source, work, str(path) if info.audio and not work.span else None)
            for sink in sinks:
                unfinished.callback(sink.abort)
            self._progress = Progress(work.video.name, 0, total)
            height = width = 0
            for parsing in self._parser.stream(source):
                if self._stopped.is_set():
                    raise ClusterError("the run was stopped")
                if parsing.frame.pts < first_pts:
                    continue
                height, width = parsing.labels.shape
                for sink in sinks:
                    sink.write(parsing)
                frames += 1
                self._progress = Progress(work.video.name, frames, total)
            for sink in sinks:
                sink.finish()
            unfinished.pop_all()
        digest = LabelsDigest()
        for batch in read_rows(staging / OUTPUTS["stats"]):
            digest.add(batch)
        if "stats" not in self._setup.options.keep and work.span is None:
            (staging / OUTPUTS["stats"]).unlink()
        return Record(
            shown(work.video.uri),
            work.video.name,
            key,
            DAMAGED if source.damage else DONE,
            self._setup.options.engine,
            "; ".join(source.damage),
            frames,
            width,
            height,
            float(info.fps or 0),
            info.duration or 0.0,
            digest.hexdigest(),
            worker=self._name,
            device=self._about.device,
        )

    def _open(self, path: Path, work: Work) -> tuple[Source, float]:
        threads = self._setup.cpus
        if work.span is None:
            return VideoSource(path, threads=threads), float("-inf")
        source = SegmentSource(path, work.span, threads=threads)
        return source, source.first_pts

    def _sinks(self, staging: Path, source: Source, work: Work, sound: str | None) -> Sequence[Sink]:
        keep, info = self._setup.options.keep, source.info
        classes = self._about.classes
        makers: dict[str, Callable[[Path], Sink]] = {
            "labels": lambda path: LabelVideoSink(path, info.fps),
            "overlay": lambda path: VideoSink(path, info, Renderer("overlay"), sound),
            # Also where it is not kept: the checksum is over its rows.
            "stats": lambda path: PartsSink(path, classes),
        }
        made: list[Sink] = []
        try:
            for output, make in makers.items():
                if output in keep or output == "stats":
                    made.append(make(staging / OUTPUTS[output]))
        except BaseException:
            for sink in made:
                sink.abort()
            raise
        return made


def folder_of(work: Work) -> str:
    """Where the outputs of a piece of work go: parts wait among what is not finished."""
    if work.span is None:
        return work.video.name
    return f"{parts_folder(work.video.name)}/{work.span.first}-{work.span.end}"


def parts_folder(name: str) -> str:
    return f"{PARTS}/{name}"


def finished(store: Store, folder: str, key: str) -> Record | None:
    """The record of outputs that are whole and were made under this key."""
    fields = store.read_json(f"{folder}/{RECORD}")
    with suppress(TypeError):
        record = Record.from_fields(fields or {})
        return record if record.key == key and record.whole else None
    return None


def publish(store: Store, staging: Path, folder: str, record: Record) -> None:
    """Give the files of a staging folder their final names. While that lasts there is no record beside them."""
    store.remove(f"{folder}/{RECORD}")
    files = {path.name: path for path in staging.iterdir() if not path.name.startswith(".")}
    for stale in {*OUTPUTS.values()} & {*store.names(folder)} - {*files}:
        store.remove(f"{folder}/{stale}")
    for name, path in files.items():
        store.put(path, f"{folder}/{name}")
    store.write(f"{folder}/{RECORD}", record.to_json())
