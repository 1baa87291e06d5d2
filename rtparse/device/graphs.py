"""CUDA graphs: the work of a stream recorded once and started with one call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rtparse.device.driver import bindings, check
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
        cuda = bindings()
        with stream.device.current():
            mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            check(cuda.cuStreamBeginCapture(stream.handle, mode))
            graph: Any = None
            try:
                try:
                    work()
                finally:
                    code, graph = cuda.cuStreamEndCapture(stream.handle)
                check((code,))
                self._executable = check(cuda.cuGraphInstantiate(graph, 0))
            finally:
                if graph is not None and int(graph):
                    check(cuda.cuGraphDestroy(graph))
        super().__init__(stream.device)

    @classmethod
    def try_to_record(cls, stream: Stream, work: Callable[[], None]) -> Graph | None:
        """The graph, or None (and a line in the log) where the work cannot be recorded; then just do it each time."""
        try:
            return cls(stream, work)
        except DeviceError as error:
            _log.info("no CUDA graph: %s", error)
            return None

    def launch(self, stream: Stream) -> None:
        """Do the work once more, in the stream's order."""
        with self.device.current():
            check(bindings().cuGraphLaunch(self._executable, stream.handle))

    def _free(self) -> None:
        check(bindings().cuGraphExecDestroy(self._executable))
