"""Where a frame and its results lie while they are on the way, on both sides, and the kernels that work on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.kernels import Kernels
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.streams import Stream
from rtparse.kernels.frames import BgrFrame, Nv12Frame, blend, letterbox_normalize, upsample_argmax
from rtparse.kernels.launch import Launch
from rtparse.kernels.surfaces import point_to, to_bgr
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox

GEOMETRIES = 16
"""Frame sizes whose launches are kept, so that mixed sizes do not prepare them anew for every frame."""

TYPES = {np.dtype(np.float16): "half", np.dtype(np.float32): "float"}
"""The kernels' names of element types."""


@dataclass(frozen=True)
class Wanted:
    """What comes down. labels: whether they do. palette: address of a `blend_palette`, None for no overlay; alpha: the
    weight of its colours."""

    labels: bool
    palette: int | None
    alpha: float


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A frame of one geometry in a seat: where its pixels go, what is launched, and where the results come out.

    sent, labels, overlay: page-locked; labels and overlay None where they are not wanted.
    sent, frame: None for a surface, which `reading` launches look at where it lies.
    """

    sent: NDArray[np.uint8] | None
    frame: DeviceArray | None
    reading: tuple[Launch, ...]
    normalize: Callable[[Stream], None]
    finish: tuple[Callable[[Stream], None], ...]
    downloads: tuple[tuple[NDArray[np.uint8], DeviceArray], ...]
    labels: NDArray[np.uint8] | None
    overlay: NDArray[np.uint8] | None


class Seat(Closing):
    """Room for one frame at a time, as large as the largest so far. Not thread-safe."""

    def __init__(self, kernels: Kernels, metadata: ModelMetadata, wanted: Wanted) -> None:
        self._kernels = kernels
        self._metadata = metadata
        self._wanted = wanted
        self._rooms: dict[bool, _Room] = {}  # for frames that are sent, and for those that are there
        self._passages: dict[tuple[Letterbox, int, int, Nv12Frame | None], Passage] = {}

    def passage(
        self, letterbox: Letterbox, given: DeviceArray, logits: DeviceArray, surface: Nv12Frame | None = None
    ) -> Passage:
        """For frames of `letterbox.frame_hw`, whose network input (3, H, W) and logits (classes, h, w) lie there.

        surface: where the frame lies already; None for one that is sent.
        Nothing of an earlier frame is on the way in this seat. Raises DeviceMemoryError.
        """
        form = surface and replace(surface, luma=0, chroma=0)
        key = (letterbox, given.pointer, logits.pointer, form)
        if key not in self._passages:
            if len(self._passages) == GEOMETRIES:
                self._passages.clear()
            room = self._fitting(letterbox.frame_hw[0] * letterbox.frame_hw[1], sent=form is None)
            self._passages[key] = self._prepare(room, letterbox, given, logits, form)
        passage = self._passages[key]
        if surface is not None:
            for launch in passage.reading:
                point_to(launch, surface)
        return passage

    def close(self) -> None:
        self._passages.clear()
        while self._rooms:
            self._rooms.popitem()[1].close()

    def _fitting(self, pixels: int, *, sent: bool) -> _Room:
        if sent not in self._rooms or self._rooms[sent].pixels < pixels:
            self.close()
            self._rooms[sent] = _Room(self._kernels.device, pixels, self._wanted, sent=sent)
        return self._rooms[sent]

    def _prepare(
        self, room: _Room, letterbox: Letterbox, given: DeviceArray, logits: DeviceArray, form: Nv12Frame | None
    ) -> Passage:
        height, width = hw = letterbox.frame_hw
        frame = None if room.frame is None else room.frame.array.view((*hw, 3))
        labels = room.labels.array.view(hw)
        bgr = BgrFrame(frame.pointer if frame else 0, 3 * width)
        classes, rows, columns = logits.shape
        launches = [
            letterbox_normalize(TYPES[given.dtype], form or bgr, letterbox, self._metadata, given.pointer),
            upsample_argmax(
                TYPES[logits.dtype], logits.pointer, (classes, rows, columns), letterbox, labels.pointer, width
            ),
        ]
        reading = launches[:1] if form else []
        if self._wanted.palette is not None:
            if form is not None:
                launches.append(to_bgr(form, hw, bgr))
                reading.append(launches[-1])
            # The frame was read by then: it becomes the overlay.
            launches.append(blend(bgr, labels.pointer, width, self._wanted.palette, hw, self._wanted.alpha, bgr))
        normalize, *finish = map(self._kernels.prepare, launches)
        labels_out, overlay_out = (
            None if out is None else out.array[: math.prod(shape)].reshape(shape)
            for out, shape in ((room.labels_out, hw), (room.overlay_out, (*hw, 3)))
        )
        there = (labels_out, labels), (overlay_out, frame)
        downloads = tuple((out, lies) for out, lies in there if out is not None and lies is not None)
        sent = None if room.sent is None else room.sent.array[: 3 * height * width].reshape(*hw, 3)
        target = frame if sent is not None else None
        return Passage(sent, target, tuple(reading), normalize, tuple(finish), downloads, labels_out, overlay_out)


class _Room(Closing):
    """Memory for a frame of so many pixels. sent: it comes from the host."""

    def __init__(self, device: Device, pixels: int, wanted: Wanted, *, sent: bool) -> None:
        self.pixels = pixels
        with ExitStack() as stack:
            self.frame = self.sent = None
            if sent or wanted.palette is not None:
                self.frame = stack.enter_context(DeviceBuffer(device, (3 * pixels,), np.uint8))
            self.labels = stack.enter_context(DeviceBuffer(device, (pixels,), np.uint8))
            if sent:
                self.sent = stack.enter_context(HostBuffer(device, (3 * pixels,), np.uint8))
            self.labels_out = self.overlay_out = None
            if wanted.labels:
                self.labels_out = stack.enter_context(HostBuffer(device, (pixels,), np.uint8))
            if wanted.palette is not None:
                self.overlay_out = stack.enter_context(HostBuffer(device, (3 * pixels,), np.uint8))
            self._closing = stack.pop_all()

    def close(self) -> None:
        self._closing.close()
