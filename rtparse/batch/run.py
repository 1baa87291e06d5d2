"""A run from the first video to the last record: what is left to do, who does it, what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from rtparse.batch.claim import Claim
from rtparse.batch.cluster import Shape, wanted
from rtparse.batch.feed import Feed
from rtparse.batch.job import FAILED, Options, Record, Video, Work, failed
from rtparse.batch.join import join
from rtparse.batch.manifest import Manifest
from rtparse.batch.models import Model
from rtparse.batch.plan import Cutting
from rtparse.batch.pool import Ended, Pool
from rtparse.batch.report import REPORT, Report, Tally
from rtparse.batch.store import PARTS, STAGING, Store
from rtparse.batch.worker import Progress, Setup, Worker
from rtparse.errors import ClusterError, SourceError

DEATHS = 4
"""Workers that may die at one piece of work before it is blamed: machines fail more often than videos kill."""
TICK_SECONDS = 0.2
_WHOLE, _JOIN = -1, -2
"""In place of a part's number."""


@dataclass(frozen=True)
class Plan:
    """What a run is asked for. retries: of a video that fails. workers: at most, None for what there is room for."""

    store: Store
    options: Options
    model: Model
    cutting: Cutting
    cpus: int = 1
    gpus: float = 0.0
    workers: int | None = None
    retries: int = 1


@dataclass
class View:
    """Called from the driver's loop. shown: (done, of all videos, frames so far, what each worker is at)."""

    shown: Callable[[int, int, int, list[tuple[str, Progress]]], None] = lambda done, total, frames, at: None
    ended: Callable[[Record], None] = lambda record: None


@dataclass
class _Parts:
    """A long video under way."""

    works: dict[int, Work] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)


def run(ray: Any, plan: Plan, videos: Sequence[Video], view: View | None = None, stop: Event | None = None) -> Report:
    """Parse what the manifest does not say is done; write the manifest as work ends, and report.json.

    ray: the module, connected. stop: ends the run early when it is set; the report then says so.
    Raises UsageError while another run works on the output, ClusterError where there is nothing to work with, SinkError
    where the manifest cannot be written.
    """
    store, stop = plan.store, stop or Event()
    with Claim(store) as claim:
        store.remove(STAGING)  # of runs that were killed
        manifest = Manifest(store)
        state = _Run(ray, plan, manifest, view or View())
        left = []
        for video in videos:
            if record := manifest.done(video, plan.options):
                state.tally.skip(record)
            else:
                left.append(video)
        try:
            if left and not stop.is_set():
                state.work(left, lambda: stop.is_set() or claim.lost.is_set())
        finally:
            manifest.flush()
        if claim.lost.is_set():
            raise ClusterError(f"another run has taken {store.uri}", "this one was silent for too long")
        report = state.tally.report(len(videos))
        store.write(REPORT, report.to_json())
        store.remove(STAGING)  # of workers that died
        if not report.interrupted:
            manifest.compact()
            for name in filter(manifest.whole, store.names(PARTS)):
                store.remove(f"{PARTS}/{name}")
    return report


class _Run:
    def __init__(self, ray: Any, plan: Plan, manifest: Manifest, view: View) -> None:
        self._ray = ray
        self._plan = plan
        self._manifest = manifest
        self._view = view
        self._todo: deque[Work] = deque()
        self._errors: dict[tuple[str, int], int] = {}
        self._deaths: dict[tuple[str, int], int] = {}
        self._parts: dict[str, _Parts] = {}
        self._whole: set[str] = set()
        self._joins: dict[Any, list[Work]] = {}
        self.tally = Tally()

    def work(self, videos: Sequence[Video], stopped: Callable[[], bool]) -> None:
        plan, ray = self._plan, self._ray
        models = {True: ray.put(plan.model), False: ray.put(replace(plan.model, plans=()))}

        def make(shape: Shape) -> Any:
            setup = Setup(plan.store, plan.options, plan.cpus, gpu=shape.gpus > 0)
            # A second thread answers how far the first one is.
            options = {"num_cpus": shape.cpus, "num_gpus": shape.gpus, "max_restarts": 0, "max_concurrency": 2}
            return ray.remote(Worker).options(**options).remote(setup, models[setup.gpu])

        def room() -> list[Shape]:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            return wanted(nodes, plan.cpus, plan.gpus, plan.workers)

        self._join = ray.remote(join).options(num_cpus=0, max_retries=DEATHS)
        with Feed(videos, plan.cutting) as feed, Pool(ray, make, room) as pool:
            while not stopped() and (self._todo or pool.working or self._joins or not feed.ended):
                while pool.idle and (work := self._next(feed)):
                    pool.submit(work)
                ended, joined = pool.wait(TICK_SECONDS, list(self._joins))
                for each in ended:
                    self._ended(each)
                for ref in joined:
                    self._joined(ref)
                self._manifest.flush_due()
                at = [(about.name, progress) for about, progress in pool.busy]
                frames = self.tally.frames + sum(progress.frames for _, progress in at)
                self._view.shown(self.tally.videos, len(videos) + self.tally.skipped, frames, at)

    def _next(self, feed: Feed) -> Work | None:
        """What failed before goes first; of a video that is parsed whole after all, its parts are left out."""
        while work := self._todo.popleft() if self._todo else feed.next():
            if work.span is None or work.video.name not in self._whole:
                if work.span is not None:
                    self._parts.setdefault(work.video.name, _Parts()).works[work.part] = work
                return work
        return None

    def _ended(self, ended: Ended) -> None:
        work, outcome = ended.work, ended.outcome
        if work.span is not None and work.video.name in self._whole:
            return
        if outcome is None:
            self._died(work, ended.error)
        elif not outcome.record.whole:
            self._failed(work, outcome.record)
        elif work.span is None:
            self._finish(outcome.record, kept=outcome.kept)
        else:
            if not outcome.kept:
                self.tally.part(outcome.record)
            parts = self._parts[work.video.name]
            parts.done.add(work.part)
            if len(parts.done) == work.parts:
                works = [parts.works[part] for part in range(work.parts)]
                self._joins[self._join.remote(self._plan.store, self._plan.options, works)] = works

    def _joined(self, ref: Any) -> None:
        works = self._joins.pop(ref)
        try:
            record = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._not_joined(works, error)
        else:
            del self._parts[works[0].video.name]
            self._finish(record, kept=False)

    def _not_joined(self, works: list[Work], error: Exception) -> None:
        work, options, cause = works[0], self._plan.options, getattr(error, "cause", None)
        if isinstance(cause, SourceError):  # the parts do not fit together, and will not the next time
            self._as_a_whole(work)
        elif self._again((work.video.name, _JOIN)):
            self._joins[self._join.remote(self._plan.store, options, works)] = works
        else:
            why = str(cause or error).strip().splitlines()[-1]
            self._give_up(failed(work.video, options.key(work.video), options.engine, why), work)

    def _died(self, work: Work, error: str) -> None:
        at = (work.video.name, work.part)
        self._deaths[at] = self._deaths.get(at, 0) + 1
        if self._deaths[at] <= DEATHS:
            self._todo.appendleft(work)
            return
        video, options = work.video, self._plan.options
        why = f"the worker ended {self._deaths[at]} times while it parsed this video ({error})"
        self._give_up(failed(video, options.key(video), options.engine, why), work)

    def _failed(self, work: Work, record: Record) -> None:
        """A part that cannot be had is no reason to lose the video."""
        if self._again((work.video.name, _WHOLE if work.span is None else work.part)):
            self._todo.append(work)
        elif work.span is not None:
            self._as_a_whole(work)
        else:
            self._give_up(record, work)

    def _again(self, at: tuple[str, int]) -> bool:
        """Count a failure; whether there may be another try."""
        self._errors[at] = self._errors.get(at, 0) + 1
        return self._errors[at] <= self._plan.retries

    def _as_a_whole(self, work: Work) -> None:
        self._forget_parts(work)
        self._todo.append(Work(work.video))

    def _give_up(self, record: Record, work: Work) -> None:
        self._forget_parts(work)
        self._finish(replace(record, status=FAILED, finished=time.time()), kept=False)

    def _forget_parts(self, work: Work) -> None:
        if work.span is not None:
            self._whole.add(work.video.name)
            self._parts.pop(work.video.name, None)

    def _finish(self, record: Record, *, kept: bool) -> None:
        self.tally.add(record, kept=kept)
        self._manifest.add(record)
        self._view.ended(record)
