"""The stages of a stream whose frames go through the GPU in one go, for engines that let them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.engines.base import FrameEngine
from rtparse.errors import DeviceMemoryError, EngineError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.pipeline import Stage
from rtparse.preprocess import Letterbox

if TYPE_CHECKING:
    from rtparse.device.frames import FramePath, Parsed, Pending, Pixels

DEPTH = 3
"""Batches on the way at once: one goes up, one is computed, one comes down."""


class FrameStages(Closing):
    """Sends batches of frames up, and takes their labels down, each in one thread of a `Pipeline`.

    There is one path for each engine and size of the network's input, made when its first frame comes. Source i goes
    through engine i modulo their number; they take turns, so of unlike GPUs the slower sets the pace. Belongs to one
    stream.
    """

    def __init__(
        self,
        engines: Sequence[FrameEngine],
        letterbox: Callable[[tuple[int, int]], Letterbox],
        parsing: Callable[[Frame, NDArray[np.uint8]], Parsing],
        *,
        latency: bool = False,
        smooth: float = 0.0,
        shown: Callable[[Frame], Pixels] = attrgetter("image"),
    ) -> None:
        """engines: of one model. letterbox: of a frame's size. parsing: of a frame and its labels.

        smooth: as for `Parser`.
        shown: the pixels of a frame that lie in its letterbox.
        latency: one batch at a time, for the lowest; otherwise some are sent ahead of the one that is waited for.
        """
        self._engines = engines
        self._letterbox = letterbox
        self._shown = shown
        self._parsing = parsing
        self._latency = latency
        self._smooth = smooth
        self._sizes: dict[int, tuple[int, int]] = {}  # of the network's input, of each source's last frame
        self._paths: dict[tuple[int, tuple[int, int]], FramePath] = {}
        self._lock = Lock()
        self._closed = False
        # One thread sends, so that a source's frames are smoothed in their order.
        waiting = 1 if latency else DEPTH * len(engines) - 1
        self.stages = [Stage(self._send, waiting=waiting), Stage(self._receive)]

    def kind(self, frame: Frame) -> Hashable:
        """Frames of one kind may share a batch."""
        return self._engine_of(frame), self._letterbox(frame.size_hw).network_hw

    def close(self) -> None:
        """Wait for what is on the way and free it; whoever still sends or receives gets an EngineError."""
        with self._lock:
            self._closed = True
            paths = list(self._paths.values())
        for path in paths:
            path.close()

    def _send(self, frames: list[Frame]) -> list[_Sent]:
        """Frames of one kind."""
        given = [(self._shown(frame), self._letterbox(frame.size_hw)) for frame in frames]
        network_hw = given[0][1].network_hw
        path = self._path(self._engine_of(frames[0]), network_hw)
        for frame in frames:
            if self._sizes.get(frame.source) != network_hw:
                path.restart(frame.source)
                self._sizes[frame.source] = network_hw
        try:
            return self._submit(path, frames, given)
        except DeviceMemoryError as error:
            if not path.halve(error):
                raise
            return self._submit(path, frames, given)

    def _receive(self, batch: list[_Sent]) -> list[Parsing]:
        late = iter(batch[-1].pending.result())
        return [
            self._parsing(sent.frame, _labels(next(late)) if sent.labels is None else sent.labels) for sent in batch
        ]

    def _submit(self, path: FramePath, frames: list[Frame], given: list[tuple[Pixels, Letterbox]]) -> list[_Sent]:
        """All at once, or in parts where memory is short: then only the last part is waited for elsewhere."""
        most = path.most(given[0][1].network_hw)
        sent: list[_Sent] = []
        for first in range(0, len(frames), most):
            part = frames[first : first + most]
            pending = path.submit(given[first : first + most], [frame.source for frame in part])
            if first + most < len(frames):
                sent += [_Sent(frame, pending, _labels(one)) for frame, one in zip(part, pending.result(), strict=True)]
            else:
                sent += [_Sent(frame, pending) for frame in part]
        return sent

    def _engine_of(self, frame: Frame) -> int:
        return frame.source % len(self._engines)

    def _path(self, engine: int, network_hw: tuple[int, int]) -> FramePath:
        key = (engine, network_hw)
        with self._lock:
            if self._closed:
                raise EngineError("the stream was closed", "open it again")
            if key not in self._paths:
                self._paths[key] = self._engines[engine].frame_path(
                    network_hw, depth=1 if self._latency else DEPTH, smooth=self._smooth
                )
            return self._paths[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """A frame of a batch that is on its way. labels: None where `pending` still has them."""

    frame: Frame
    pending: Pending
    labels: NDArray[np.uint8] | None = None


def _labels(parsed: Parsed) -> NDArray[np.uint8]:
    assert parsed.labels is not None  # asked for
    return parsed.labels
