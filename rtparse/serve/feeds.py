"""The server's own sources, read and parsed once for all who watch, and only while somebody does."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread, Timer, current_thread

from rtparse.closing import Closing
from rtparse.errors import RtparseError, UsageError
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.serve.messages import encode
from rtparse.serve.views import LiveView
from rtparse.sources import open_source
from rtparse.sources.base import Source
from rtparse.sources.live import LiveSource
from rtparse.sources.live_open import open_live

LINGER_SECONDS = 3.0
"""How long a source is still read after its last viewer has gone: most come back at once, with another setting."""

_LEAST_ROUND_SECONDS = 0.2
_LOG = logging.getLogger("rtparse")


class LoopedFile(Source):
    """A file or folder played at its own pace, from its start again at its end. Live: who is late misses frames.

    Raises as `open_source` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = Event()
        self._source = open_source(path)
        self.info = replace(self._source.info, name=path.name, live=True, audio=False)

    @property
    def damage(self) -> tuple[str, ...]:
        return self._source.damage

    def __iter__(self) -> Iterator[Frame]:
        index, begun = 0, time.monotonic()
        while True:
            end = 0.0
            with self._source:
                for frame in self._source:
                    if self._closed.wait(max(0.0, begun + frame.pts - time.monotonic())):
                        return
                    yield replace(frame, pts=begun + frame.pts, index=index, arrived=time.monotonic())
                    index += 1
                    end = frame.pts
            usual = 1 / float(self.info.fps) if self.info.fps else _LEAST_ROUND_SECONDS
            begun = max(begun + max(end + usual, _LEAST_ROUND_SECONDS), time.monotonic())
            if self._closed.wait(max(0.0, begun - time.monotonic())):
                return
            self._source = open_source(self._path)

    def close(self) -> None:
        self._closed.set()
        self._source.close()


def feed_source(spec: str) -> tuple[str, Callable[[], LiveSource]]:
    """The name that visitors see, and what opens it: a camera, a URL, the screen, a GStreamer pipeline, or a file or
    folder, which is played in a loop. The name holds no folder, no password and no path of a URL.

    Raises UsageError for what cannot be meant.
    """
    path = Path(spec)
    # Path.exists raises for a name that is too long for a file, as pipelines are.
    if os.path.exists(spec) and not re.fullmatch(r"/dev/.+", spec):  # noqa: PTH110
        LoopedFile(path).close()  # says at once what is wrong with it
        return path.stem, lambda: LiveSource(path.name, partial(LoopedFile, path))
    if spec.startswith("stdin:"):
        raise UsageError("standard input cannot be watched twice", "parse it with rtparse live")
    with open_live(spec) as opened:
        name = opened.info.name
    if "://" in name:
        name = re.sub(r"^[^:]+://(?:[^/@]*@)?([^/?#]*).*", r"\1", name)
    elif "!" in name:
        name = "pipeline"
    return re.sub(r"^camera /.*/", "", name), lambda: open_live(spec)


def told_apart(names: Sequence[str]) -> list[str]:
    """The names, with a number where one comes again: the cameras of one recorder differ in the path alone."""
    told: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in told:
            number += 1
            distinct = f"{name} ({number})"
        told.append(distinct)
    return told


@dataclass(eq=False)
class _Line:
    """One smoothing of a feed, for all who want it."""

    view: LiveView[Frame] = field(init=False)
    watchers: set[Callable[[bytes | None], None]] = field(default_factory=set)


class Feed(Closing):
    """A source that is read while somebody watches. Thread-safe."""

    def __init__(
        self,
        parser: Parser,
        name: str,
        opener: Callable[[], LiveSource],
        counted: Callable[[Parsing], object] = lambda parsing: None,
    ) -> None:
        """counted: called with every parsing, once for all who see it."""
        self.name = name
        self._counted = counted
        self._parser = parser
        self._opener = opener
        self._lock = Lock()
        self._lines: dict[float, _Line] = {}
        self._source: LiveSource | None = None
        self._reader: Thread | None = None
        self._rest: Timer | None = None  # runs while the source is read for nobody
        self._closed = False

    @property
    def state(self) -> str:
        """ "idle" when nobody watches, else that of the LiveSource: "connecting", "live", "waiting"."""
        source = self._source
        return "idle" if source is None else source.statistics().state

    def watch(self, smooth: float, shown: Callable[[bytes | None], None]) -> None:
        """Call `shown` with every message (see messages.py) from now on, from another thread; with None when the source
        has failed for good."""
        with self._lock:
            if self._closed:
                raise UsageError("the feed was closed", "nothing is shown any more")
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None
            line = self._lines.get(smooth)
            if line is None:
                parser = self._parser.with_smooth(smooth)
                line = _Line()
                show, fail = partial(self._shown, line), partial(self._failed, smooth, line)
                line.view = LiveView(parser, self.name, _same, show, fail)
                self._lines[smooth] = line
            line.watchers.add(shown)
            if self._reader is None:
                self._reader = Thread(target=self._read, name=f"rtparse-feed {self.name}", daemon=True)
                self._reader.start()

    def unwatch(self, smooth: float, shown: Callable[[bytes | None], None]) -> None:
        """Undo `watch`; nothing comes after it. Blocks for as long as a parsing takes."""
        with self._lock:
            line = self._lines.get(smooth)
            if line is None or shown not in line.watchers:
                return
            line.watchers.remove(shown)
            if line.watchers:
                return
            del self._lines[smooth]
            self._linger()
        line.view.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            lines, self._lines = list(self._lines.values()), {}
            source, reader = self._source, self._reader
            rest, self._rest = self._rest, None
        if rest is not None:
            rest.cancel()
            rest.join()
        for line in lines:
            line.view.close()
        if source is not None:
            source.close()
        if reader is not None:
            reader.join()

    def _read(self) -> None:
        while True:
            try:
                with self._opener() as source:
                    self._read_source(source)
            except RtparseError as error:
                _LOG.error("%s cannot be shown: %s", self.name, error)
                self._end_lines()
            except Exception:  # a defect: it ends what is watched, not what is watched next
                _LOG.exception("%s cannot be shown", self.name)
                self._end_lines()
            with self._lock:
                self._source = None
                if self._closed or not self._lines:  # else somebody came while the source was being closed
                    self._reader = None
                    return

    def _read_source(self, source: LiveSource) -> None:
        with self._lock:
            if self._closed or not (self._lines or self._rest):
                return
            self._source = source
        for frame in source:
            with self._lock:
                if self._closed:
                    return
                lines = list(self._lines.values())
            for line in lines:
                line.view.give(frame)

    def _linger(self) -> None:
        """Under the lock: when nobody watches any more, let go of the source in a while, even if it gives none."""
        if self._lines or self._reader is None or self._closed:
            return
        self._rest = Timer(LINGER_SECONDS, self._let_go)
        self._rest.name = f"rtparse-rest {self.name}"
        self._rest.daemon = True
        self._rest.start()

    def _let_go(self) -> None:
        with self._lock:
            if self._rest is not current_thread():
                return  # somebody has come
            self._rest = None
            source = self._source
        if source is not None:
            source.close()

    def _end_lines(self) -> None:
        with self._lock:
            lines, self._lines = list(self._lines.values()), {}
            told = [shown for line in lines for shown in line.watchers]
            for line in lines:
                line.watchers.clear()
        for shown in told:
            shown(None)
        for line in lines:
            line.view.close()

    def _shown(self, line: _Line, parsing: Parsing) -> None:
        with self._lock:
            watchers = list(line.watchers)
        self._counted(parsing)
        if watchers:
            message = encode(parsing, picture=True, dropped=line.view.dropped)
            for shown in watchers:
                shown(message)

    def _failed(self, smooth: float, line: _Line, error: RtparseError) -> None:
        _LOG.error("%s cannot be parsed: %s", self.name, error)
        with self._lock:
            if self._lines.get(smooth) is line:  # else the last one has left, and others may have come
                del self._lines[smooth]
                self._linger()
            watchers, line.watchers = line.watchers, set()
        for shown in watchers:
            shown(None)


def _same(frame: Frame) -> Frame:
    return frame
