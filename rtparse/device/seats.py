"""Where a frame and its results lie while they are on the way, on both sides, and the kernels that work on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.kernels import Kernels
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.streams import Stream
from rtparse.kernels.frames import BgrFrame, blend, letterbox_normalize, upsample_argmax
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
    """

    sent: NDArray[np.uint8]
    frame: DeviceArray
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
        self._room: _Room | None = None
        self._passages: dict[tuple[Letterbox, int, int], Passage] = {}

    def passage(self, letterbox: Letterbox, given: DeviceArray, logits: DeviceArray) -> Passage:
        """For frames of `letterbox.frame_hw`, whose network input (3, H, W) and logits (classes, h, w) lie there.

        Nothing of an earlier frame is on the way in this seat. Raises DeviceMemoryError.
        """
        key = (letterbox, given.pointer, logits.pointer)
        if key not in self._passages:
            if len(self._passages) == GEOMETRIES:
                self._passages.clear()
            room = self._fitting(letterbox.frame_hw[0] * letterbox.frame_hw[1])
            self._passages[key] = self._prepare(room, letterbox, given, logits)
        return self._passages[key]

    def close(self) -> None:
        self._passages.clear()
        if self._room is not None:
            self._room.close()
            self._room = None

    def _fitting(self, pixels: int) -> _Room:
        if self._room is None or self._room.pixels < pixels:
            self.close()
            self._room = _Room(self._kernels.device, pixels, self._wanted)
        return self._room

    def _prepare(self, room: _Room, letterbox: Letterbox, given: DeviceArray, logits: DeviceArray) -> Passage:
        height, width = hw = letterbox.frame_hw
        frame, labels = room.frame.array.view((*hw, 3)), room.labels.array.view(hw)
        bgr = BgrFrame(frame.pointer, 3 * width)
        classes, rows, columns = logits.shape
        launches = [
            letterbox_normalize(TYPES[given.dtype], bgr, letterbox, self._metadata, given.pointer),
            upsample_argmax(
                TYPES[logits.dtype], logits.pointer, (classes, rows, columns), letterbox, labels.pointer, width
            ),
        ]
        if self._wanted.palette is not None:
            # The frame was read by then: it becomes the overlay.
            launches.append(blend(bgr, labels.pointer, width, self._wanted.palette, hw, self._wanted.alpha, bgr))
        normalize, *finish = map(self._kernels.prepare, launches)
        labels_out, overlay_out = (
            None if out is None else out.array[: math.prod(shape)].reshape(shape)
            for out, shape in ((room.labels_out, hw), (room.overlay_out, (*hw, 3)))
        )
        downloads = [(out, there) for out, there in ((labels_out, labels), (overlay_out, frame)) if out is not None]
        sent = room.sent.array[: 3 * height * width].reshape(*hw, 3)
        return Passage(sent, frame, normalize, tuple(finish), tuple(downloads), labels_out, overlay_out)


class _Room(Closing):
    """Memory for a frame of so many pixels."""

    def __init__(self, device: Device, pixels: int, wanted: Wanted) -> None:
        self.pixels = pixels
        with ExitStack() as stack:
            self.frame = stack.enter_context(DeviceBuffer(device, (3 * pixels,), np.uint8))
            self.labels = stack.enter_context(DeviceBuffer(device, (pixels,), np.uint8))
            self.sent = stack.enter_context(HostBuffer(device, (3 * pixels,), np.uint8))
            self.labels_out = self.overlay_out = None
            if wanted.labels:
                self.labels_out = stack.enter_context(HostBuffer(device, (pixels,), np.uint8))
            if wanted.palette is not None:
                self.overlay_out = stack.enter_context(HostBuffer(device, (3 * pixels,), np.uint8))
            self._closing = stack.pop_all()

    def close(self) -> None:
        self._closing.close()
