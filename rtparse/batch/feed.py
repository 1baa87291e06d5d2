"""The work of a run as Ray Data streams it: long videos are cut on the cluster while the first ones are parsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

from rtparse.batch.job import Video, Work
from rtparse.batch.plan import Cutting
from rtparse.closing import Closing

AHEAD = 2000
"""Pieces of work that wait on the driver at most."""
CLOSE_SECONDS = 5.0
"""For Ray Data to give out what it is at: nothing else ends its iteration."""
_BLOCKS = 200
_BLOCK_VIDEOS = (8, 64)
"""Videos that one task looks at: few, so that the first parts are known soon; more in a run of many thousands."""
_TASKS_A_NODE = 2
"""Tasks at once: they reserve no CPU, so nothing else holds them back, and each is a process of 150 MB."""


class Feed(Closing):
    """Gives out the work of videos, as it becomes known. For one thread; one of its own runs the dataset."""

    def __init__(self, videos: Sequence[Video], cutting: Cutting) -> None:
        """Ray is connected."""
        self._queue: Queue[Work] = Queue(AHEAD)
        self._closed = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(videos, cutting), name="rtparse-feed", daemon=True)
        self._thread.start()

    def next(self) -> Work | None:
        """The next piece of work, None where none is known yet. Raises what planning raised."""
        try:
            return self._queue.get_nowait()
        except Empty:
            if self._error:
                raise self._error from None
            return None

    @property
    def ended(self) -> bool:
        """Whether all work has been given out."""
        return not self._thread.is_alive() and self._queue.empty() and self._error is None

    def close(self) -> None:
        """Give out no more. A thread that Ray Data holds for longer ends with the connection."""
        self._closed.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self, videos: Sequence[Video], cutting: Cutting) -> None:
        try:
            for work in _works(videos, cutting):
                while not self._closed.is_set():
                    with suppress(Full):
                        self._queue.put(work, timeout=0.2)
                        break
                if self._closed.is_set():
                    return
        except BaseException as error:
            self._error = error


def _works(videos: Sequence[Video], cutting: Cutting) -> Iterator[Work]:
    if not cutting.seconds or not videos:
        yield from map(Work, videos)
        return
    import ray.data

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with ray.data.DataContext.current(context):
        fewest, most = _BLOCK_VIDEOS
        size = min(most, max(fewest, -(-len(videos) // _BLOCKS)))
        blocks = -(-len(videos) // size)
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        tasks = min(blocks, _TASKS_A_NODE * sum(node["Alive"] for node in nodes))
        rows = [{"work": Work(video).to_json()} for video in videos]
        dataset = ray.data.from_items(rows, override_num_blocks=blocks)

        def plan(row: dict[str, Any]) -> list[dict[str, Any]]:
            return [{"work": work.to_json()} for work in cutting.works(Work.from_json(row["work"]).video)]

        # No CPU is reserved: the workers may hold them all, and packets are only read.
        planned = dataset.flat_map(plan, num_cpus=0, compute=ray.data.TaskPoolStrategy(size=tasks))
        batch: Any
        for batch in planned.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
            yield from map(Work.from_json, batch.column("work").to_pylist())
