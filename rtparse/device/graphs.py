"""CUDA graphs: the work of a stream recorded once and started with one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any

from rtparse.closing import Closing
from rtparse.device.driver import bindings, call
from rtparse.device.owned import Owned
from rtparse.device.streams import Stream
from rtparse.errors import DeviceError

_log = logging.getLogger("rtparse")


class Graph(Owned):
    """Recorded work, with the very addresses and sizes it was recorded with. One thread at a time launches it."""

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Record what `work` gives to the stream, without doing it. Raises DeviceError where it cannot be recorded.

        `work` uses that stream only, and neither allocates nor waits. It has run once before, so that libraries have
        set themselves up.
        """
        self._made: list[tuple[str, Any]] = []  # what destroys it, and what was made
        with stream.device.current():
            mode = bindings().CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            call("cuStreamBeginCapture", stream.handle, mode)
            try:
                work()
            except BaseException:
                _, graph = bindings().cuStreamEndCapture(stream.handle)
                if graph is not None and int(graph):
                    bindings().cuGraphDestroy(graph)
                raise
            graph = call("cuStreamEndCapture", stream.handle)
            self._made.append(("cuGraphDestroy", graph))
            super().__init__(stream.device)
            try:
                self._executable = call("cuGraphInstantiate", graph, 0)
            except BaseException:
                self.close()
                raise
            self._made.append(("cuGraphExecDestroy", self._executable))

    def launch(self, stream: Stream) -> None:
        """Do the work once more, in the stream's order."""
        with self.device.current():
            call("cuGraphLaunch", self._executable, stream.handle)

    def _free(self) -> None:
        while self._made:
            call(*self._made[-1])
            self._made.pop()


class Replays(Closing):
    """Does pieces of work in a stream, each as a graph once it has been done. Not thread-safe."""

    def __init__(self, stream: Stream, recordable: bool = True) -> None:
        """recordable: False does the work as it is each time."""
        self._stream = stream
        self._recordable = recordable
        self._graphs: dict[Hashable, Graph | None] = {}

    def do(self, key: Hashable, work: Callable[[], None]) -> None:
        """Put the work into the stream; what has the same key is the same work, with the same addresses.

        The first time it waits for it. What cannot be recorded is done as it is each time, and a line is logged once.
        """
        graph = self._graphs.get(key)
        if graph is not None:
            graph.launch(self._stream)
            return
        work()
        if self._recordable and key not in self._graphs:
            self._stream.synchronize()  # libraries have set themselves up for the work
            try:
                self._graphs[key] = Graph(self._stream, work)
            except DeviceError as error:
                _log.info("no CUDA graph: %s", error)
                self._graphs[key] = None

    def recorded(self, key: Hashable) -> bool:
        """Whether that work has become a graph."""
        return self._graphs.get(key) is not None

    def close(self) -> None:
        for graph in self._graphs.values():
            if graph is not None:
                graph.close()
        self._graphs.clear()
