"""Frames that come when they come, parsed in threads: the newest one wins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Condition, Thread
from typing import Generic, TypeVar

from rtparse.closing import Closing
from rtparse.errors import RtparseError
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.sources.base import Source, SourceInfo

Item = TypeVar("Item")

_LOG = logging.getLogger("rtparse")


class Latest(Source, Generic[Item]):
    """A live source of what it is given, the newest of which replaces one that nobody has taken yet.

    read: makes the frame of an item, in the thread that iterates; what it raises ends the iteration.
    dropped: how many items were replaced.
    """

    def __init__(self, name: str, read: Callable[[Item], Frame]) -> None:
        self.info = SourceInfo(name, live=True)
        self.dropped = 0
        self._read = read
        self._item: Item | None = None
        self._closed = False
        self._changed = Condition()

    @property
    def damage(self) -> tuple[str, ...]:
        return ()

    def give(self, item: Item) -> None:
        with self._changed:
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._item is not None or self._closed)
                item, self._item = self._item, None
            if self._closed or item is None:
                return
            yield self._read(item)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class LiveView(Closing, Generic[Item]):
    """Parses what it is given, until it is closed or something fails. All but the callbacks may come from any thread.

    shown: called with each parsing. failed: called once with what the source or the model raised, if so. Both come from
    the view's own thread, and neither after `close` has returned.
    """

    def __init__(
        self,
        parser: Parser,
        name: str,
        read: Callable[[Item], Frame],
        shown: Callable[[Parsing], None],
        failed: Callable[[RtparseError], None],
    ) -> None:
        self._source = Latest(name, read)
        self._stream = parser.stream([self._source])
        self._shown = shown
        self._failed = failed
        self._thread = Thread(target=self._run, name=f"rtparse-view {name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many of the items given were never parsed."""
        return self._source.dropped + self._stream.dropped

    def give(self, item: Item) -> None:
        self._source.give(item)

    def close(self) -> None:
        """End the view and its threads. Calling it twice does nothing."""
        self._source.close()  # so the stream comes to its end
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._stream:
                for parsing in self._stream:
                    self._shown(parsing)
        except RtparseError as error:
            self._failed(error)
        except Exception as error:  # a defect: the view ends, and its viewers hear of it
            _LOG.exception("a live view failed")
            self._failed(RtparseError(str(error)))
