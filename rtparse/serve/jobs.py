"""Visitors' videos, parsed one after the other in a thread, and kept for a while."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Lock, Thread

from rtparse.closing import Closing
from rtparse.errors import RtparseError
from rtparse.parser import Parser
from rtparse.render import Renderer
from rtparse.serve.limits import Limits
from rtparse.serve.sandbox import DecodeError, UploadedVideo
from rtparse.sinks import VideoSink

_FAILED = ("failed", "a video that could not be parsed or written", "the server's log says more")
_LOG = logging.getLogger("rtparse")
_LOOK_SECONDS = 1.0
"""How often is looked for videos that have been kept for long enough."""


class State(StrEnum):
    """RECEIVING is before, DONE and FAILED are after the others."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


_FINISHED = (State.DONE, State.FAILED)


@dataclass(frozen=True)
class VideoOptions:
    """As of `Renderer` and `Parser`."""

    view: str = "overlay"
    alpha: float = 0.5
    classes: tuple[str, ...] | None = None
    smooth: float = 0.0


@dataclass(eq=False)
class VideoJob:
    """A video under way. Read from any thread; only the thread that parses writes, after `start`.

    id: cannot be guessed: who knows it may have the video.
    error: a code, what was got, what was expected.
    """

    id: str
    folder: Path
    options: VideoOptions
    state: State = State.RECEIVING
    frames: int = 0
    total: int | None = None
    error: tuple[str, str, str] | None = None
    changed: float = field(default_factory=time.monotonic)
    cancelled: Event = field(default_factory=Event)

    @property
    def upload(self) -> Path:
        return self.folder / "upload"

    @property
    def result(self) -> Path:
        return self.folder / "parsed.mp4"

    def turn(self, state: State) -> None:
        self.state, self.changed = state, time.monotonic()


class VideoJobs(Closing):
    """Files live in `folder`, which is the caller's, each job's until `remove`, its lifetime or `close` ends.

    Thread-safe. counted: called for every frame that is parsed.
    """

    def __init__(
        self, parser: Parser, limits: Limits, folder: Path, counted: Callable[[], object] = lambda: None
    ) -> None:
        self._parser = parser
        self._limits = limits
        self._folder = folder
        self._counted = counted
        self._jobs: dict[str, VideoJob] = {}
        self._lock = Lock()
        self._queue: Queue[VideoJob | None] = Queue()
        self._thread = Thread(target=self._work, name="rtparse-videos", daemon=True)
        self._thread.start()
        self._running: UploadedVideo | None = None

    def reserve(self, options: VideoOptions) -> VideoJob | None:
        """A job whose upload is to be written to `job.upload`, then `start`ed or `remove`d; None while there are too
        many. Raises OSError where it can have no folder."""
        with self._lock:
            under_way = sum(job.state not in _FINISHED for job in self._jobs.values())
            if under_way >= self._limits.videos:
                return None
            finished = sorted(
                (job for job in self._jobs.values() if job.state in _FINISHED), key=lambda job: job.changed
            )
            name = secrets.token_urlsafe(16)
            job = self._jobs[name] = VideoJob(name, self._folder / name, options)
        for old in finished[: max(0, len(finished) + 1 - self._limits.results)]:
            self.remove(old)
        try:
            job.folder.mkdir()
        except OSError:
            self.remove(job)
            raise
        return job

    def start(self, job: VideoJob) -> None:
        job.turn(State.WAITING)
        self._queue.put(job)

    def find(self, name: str) -> VideoJob | None:
        with self._lock:
            return self._jobs.get(name)

    def remove(self, job: VideoJob) -> None:
        """End the job's work and delete its files."""
        job.cancelled.set()
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def counts(self) -> dict[State, int]:
        """How many jobs there are in each state."""
        with self._lock:
            states = [job.state for job in self._jobs.values()]
        return {state: states.count(state) for state in State}

    def close(self) -> None:
        """End the thread, with the work that it does. Calling it twice does nothing."""
        with self._lock:
            jobs = list(self._jobs.values())
        self._queue.put(None)
        for job in jobs:
            job.cancelled.set()
        running = self._running
        if running is not None:
            running.close()
        self._thread.join()
        for job in jobs:
            self.remove(job)

    def _work(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                self._forget()
                continue
            if job is None:
                return
            self._run(job)
            self._forget()

    def _run(self, job: VideoJob) -> None:
        if job.cancelled.is_set():
            return
        job.turn(State.RUNNING)
        sound = job.folder / "sound.mka"
        try:
            self._parse(job, sound)
        except DecodeError as error:
            job.error = (error.code, error.got, error.expected)
        except (RtparseError, OSError) as error:
            if not job.cancelled.is_set():
                _LOG.error("a visitor's video failed: %s", error)
            job.error = _FAILED
        except Exception:  # a defect: the videos after it shall be parsed all the same
            _LOG.exception("a visitor's video failed")
            job.error = _FAILED
        finally:
            self._running = None
            job.upload.unlink(missing_ok=True)
            sound.unlink(missing_ok=True)
            job.turn(State.FAILED if job.error else State.DONE)
            if job.cancelled.is_set():
                shutil.rmtree(job.folder, ignore_errors=True)

    def _parse(self, job: VideoJob, sound: Path) -> None:
        deadline = time.monotonic() + self._limits.video_seconds
        options = job.options
        view = Renderer(options.view, alpha=options.alpha, classes=options.classes)
        with UploadedVideo(job.upload, sound, self._limits) as source:
            self._running = source
            if job.cancelled.is_set():
                raise _cancelled()
            source.open()
            job.total = source.info.frame_count
            sink = VideoSink(job.result, source.info, view, str(sound) if source.info.audio else None)
            whole = False
            try:
                with self._parser.with_smooth(options.smooth).stream(source) as stream:
                    for parsing in stream:
                        if job.cancelled.is_set():
                            raise _cancelled()
                        if time.monotonic() > deadline:
                            seconds = self._limits.video_seconds
                            raise DecodeError("time", f"a video that takes more than {seconds:g} s", "a shorter one")
                        sink.write(parsing)
                        job.frames += 1
                        self._counted()
                whole = True
            finally:
                if whole:
                    sink.finish()
                else:
                    sink.abort()

    def _forget(self) -> None:
        now = time.monotonic()
        with self._lock:
            old = [
                job
                for job in self._jobs.values()
                if job.state in _FINISHED and now - job.changed > self._limits.lifetime
            ]
        for job in old:
            self.remove(job)


def _cancelled() -> DecodeError:
    return DecodeError("cancelled", "a video that was taken back", "another one")
