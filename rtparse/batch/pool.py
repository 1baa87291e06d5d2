"""The workers as Ray actors: made where there is room, given one piece of work at a time, replaced when they die."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rtparse.batch.cluster import Shape
from rtparse.batch.job import Work
from rtparse.batch.worker import About, Outcome, Progress
from rtparse.closing import Closing
from rtparse.errors import ClusterError, RtparseError

LOOK_SECONDS = 3.0
"""Between two looks for nodes that came or went."""
POLL_SECONDS = 1.0
"""Between two questions to a worker how far it is; longer with hundreds of them."""
_POLLED_EACH_SECOND = 200
STOP_SECONDS = 5.0
"""For workers to leave what they are at, before they are ended."""
ROOM_SECONDS = 30.0
"""Without a worker, before a word is said."""
_STARTS = 3
"""Workers that fail to start, one after the other, before the run gives up."""

_log = logging.getLogger("rtparse")


@dataclass
class _Member:
    """A worker. about: None until its engine is loaded. work: what it is at."""

    handle: Any
    shape: Shape
    about: About | None = None
    work: Work | None = None
    progress: Progress | None = None
    asked: bool = False


@dataclass(frozen=True)
class Ended:
    """A piece of work has ended. outcome: None where the worker died of it or beside it, which `error` says.

    about: the worker.
    """

    work: Work
    outcome: Outcome | None
    about: About | None
    error: str = ""


class Pool(Closing):
    """For one thread of the driver.

    Ray places the actors and tells when they are dead; which of them gets what is one line: the one that is idle. An
    actor's own restarts and retries are off, so that it is known which video it was at, and so that a worker that Ray
    cannot place holds no work.
    """

    def __init__(self, ray: Any, make: Callable[[Shape], Any], wanted: Callable[[], Sequence[Shape]]) -> None:
        """make: starts a worker actor of a shape. wanted: the shapes that there is room for now."""
        self._ray = ray
        self._make = make
        self._wanted = wanted
        self._members: list[_Member] = []
        self._idle: deque[_Member] = deque()
        self._refs: dict[Any, tuple[str, _Member]] = {}
        self._failed_starts: list[str] = []
        self._looked = self._polled = float("-inf")
        self._patient_until = time.monotonic() + ROOM_SECONDS

    @property
    def idle(self) -> int:
        """Workers that wait for work."""
        return len(self._idle)

    @property
    def busy(self) -> list[tuple[About, Progress]]:
        """What the workers are at, as far as they told."""
        return [(m.about, m.progress) for m in self._members if m.about and m.work and m.progress]

    @property
    def size(self) -> int:
        """Workers that are ready."""
        return sum(member.about is not None for member in self._members)

    @property
    def working(self) -> int:
        return sum(member.work is not None for member in self._members)

    def submit(self, work: Work) -> None:
        """Give the next idle worker a piece of work; there must be one."""
        member = self._idle.popleft()
        member.work, member.progress = work, None
        self._refs[member.handle.run.remote(work)] = ("run", member)

    def wait(self, seconds: float, other: Sequence[Any] = ()) -> tuple[list[Ended], list[Any]]:
        """What has ended since the last call, waiting for it so long at most; and which of the `other` refs are ready.

        Raises ClusterError when workers cannot start, or when there is no room for any.
        """
        self._look()
        self._poll()
        refs = [*self._refs, *other]
        if not refs:
            time.sleep(seconds)
            return [], []
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=seconds)
        if ready:  # whatever else has come by now
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        ended = [each for ref in ready if ref in self._refs for each in self._take(ref)]
        return ended, [ref for ref in ready if ref in other]

    def close(self) -> None:
        """End all workers, whatever they are at."""
        if stops := [member.handle.stop.remote() for member in self._members if member.about]:
            self._ray.wait(stops, num_returns=len(stops), timeout=STOP_SECONDS)
        for member in self._members:
            self._ray.kill(member.handle, no_restart=True)
        self._members.clear()
        self._idle.clear()
        self._refs.clear()

    def _take(self, ref: Any) -> list[Ended]:
        kind, member = self._refs.pop(ref)
        work = member.work
        try:
            value = self._ray.get(ref)
        except (self._ray.exceptions.RayError, RtparseError) as error:
            if kind == "progress":
                return []  # the run of the same worker tells it too
            self._drop(member)
            why = _reason(error)
            if kind == "about":
                if not _of_its_node(error):
                    self._start_failed(why)
                return []
            return [Ended(work, None, member.about, why)] if work else []
        if kind == "progress":
            member.progress, member.asked = value, False
            return []
        if kind == "about":
            member.about = value
            self._failed_starts.clear()
            self._idle.append(member)
            return []
        member.work = member.progress = None
        self._idle.append(member)
        return [Ended(work, value, member.about)] if work else []

    def _look(self) -> None:
        """Start workers where there is room for more."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        missing = list(self._wanted())
        if not missing and not self._members:
            raise ClusterError(
                "no node of the cluster has room for a worker", "give fewer --cpus-per-worker, or start more nodes"
            )
        for member in self._members:
            if member.shape in missing:
                missing.remove(member.shape)
        if not self.size and time.monotonic() > self._patient_until:
            self._patient_until = float("inf")
            _log.warning("no worker has started yet: Ray has no room for one, or is slow to start; see `ray status`")
        for shape in missing:
            member = _Member(self._make(shape), shape)
            self._members.append(member)
            self._refs[member.handle.about.remote()] = ("about", member)

    def _poll(self) -> None:
        period = max(POLL_SECONDS, len(self._members) / _POLLED_EACH_SECOND)
        if time.monotonic() - self._polled < period:
            return
        self._polled = time.monotonic()
        for member in self._members:
            if member.work and not member.asked:
                member.asked = True
                self._refs[member.handle.progress.remote()] = ("progress", member)

    def _drop(self, member: _Member) -> None:
        if member in self._members:
            self._members.remove(member)
        if member in self._idle:
            self._idle.remove(member)
        self._ray.kill(member.handle, no_restart=True)
        self._looked = min(self._looked, time.monotonic() - LOOK_SECONDS + 0.5)

    def _start_failed(self, why: str) -> None:
        self._failed_starts.append(why)
        if len(self._failed_starts) >= _STARTS and not self.size:
            raise ClusterError(f"no worker can start: {why}")


def _of_its_node(error: BaseException) -> bool:
    """Whether a worker is dead because its machine is. Ray goes on placing workers on a dead one until it notices, and
    they die together; that says nothing of the next worker, elsewhere."""
    return "its node has died" in str(error)


def _reason(error: BaseException) -> str:
    """One line: ours where the worker raised it, else what Ray says of a death."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, RtparseError):
        return str(cause)
    if isinstance(error, RtparseError):
        return error.message
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    known = next((line for line in reversed(lines) if "Error: " in line), "")
    return known.partition("Error: ")[2] or (lines[0] if lines else type(error).__name__)
