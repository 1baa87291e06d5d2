"""Decoded pictures that stay in the GPU's memory, and come down only for those who ask for their pixels."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.kernels import Compiler, Kernels
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.streams import Event, Stream
from rtparse.errors import DeviceMemoryError
from rtparse.frame import Frame
from rtparse.kernels.frames import BgrFrame, Nv12Frame
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.kernels.surfaces import point_to, to_bgr

if TYPE_CHECKING:
    from rtparse.regions import Region

SURFACES = 24
"""Most pictures of a source that stay on the GPU at once: more than are on the way, for consumers that keep some."""


class Surface:
    """A picture, or a part of one, in the GPU's memory. It is there for as long as this object is, and nothing writes
    into it. Thread-safe.

    frame: where it lies. size_hw: its height and width. ready: reached when it has been decoded.
    """

    def __init__(self, lease: _Lease, frame: Nv12Frame, size_hw: tuple[int, int]) -> None:
        self._lease = lease
        self.frame = frame
        self.size_hw = size_hw

    @property
    def ready(self) -> Event:
        return self._lease.cell.ready

    @property
    def planes(self) -> tuple[DeviceArray, DeviceArray]:
        """The bytes of luma and of chroma, for whoever fills them."""
        return self._lease.cell.planes

    def part(self, region: Region) -> Surface:
        """A region that lies in it, in the same memory."""
        frame, x, y = self.frame, region.x + self.frame.column, region.y + self.frame.row
        size = 2 if frame.samples == "p016" else 1
        seen = replace(
            frame,
            luma=frame.luma + region.y * frame.luma_pitch + region.x * size,
            chroma=frame.chroma + y // 2 * frame.chroma_pitch + x // 2 * 2 * size,
            row=y % 2,
            column=x % 2,
        )
        return Surface(self._lease, seen, region.size_hw)

    def image(self) -> NDArray[np.uint8]:
        """The whole picture (H, W, 3) uint8 BGR on the host: converted and downloaded once. Raises EngineError."""
        return self._lease.image()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DeviceFrame(Frame):
    """A frame that lies on the GPU. image: comes down when it is first asked for, see `Surface.image`."""

    image: NDArray[np.uint8] = field(init=False)
    surface: Surface

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.surface.size_hw

    def __getattr__(self, name: str) -> NDArray[np.uint8]:
        if name != "image":  # whose slot is empty the first time
            raise AttributeError(name)
        image = self.surface.image()
        object.__setattr__(self, "image", image)
        return image


class SurfacePool(Closing):
    """Memory for the pictures of one source, which all have one form. It owns the device. Thread-safe."""

    def __init__(
        self,
        device: Device,
        frame: Nv12Frame,
        size_hw: tuple[int, int],
        *,
        compiler: Compiler = compile_kernel,
        most: int = SURFACES,
    ) -> None:
        """frame: of the pictures' form; its addresses do not count. size_hw: of the pictures, even.

        Raises DeviceMemoryError, MissingDependencyError without NVRTC.
        """
        self._device = device
        self._form = frame
        self._size_hw = size_hw
        self._most = most
        self._lock = RLock()
        self._cells = 0
        self._free: list[_Cell] = []
        self._closed = False
        height, width = size_hw
        with ExitStack() as stack:
            stack.enter_context(device)
            self._stream = stack.enter_context(Stream(device))
            self._bgr = stack.enter_context(DeviceBuffer(device, (height, width, 3), np.uint8))
            self._host = stack.enter_context(HostBuffer(device, (height, width, 3), np.uint8))
            kernels = stack.enter_context(Kernels(device, compiler))
            self._launch = to_bgr(frame, size_hw, BgrFrame(self._bgr.array.pointer, 3 * width))
            self._convert = kernels.prepare(self._launch)
            self._closing = stack.pop_all()

    def take(self) -> Surface | None:
        """Room for one picture, to be filled; None where too many are in use, or memory is short.

        Raises DeviceMemoryError where there is no room for the first.
        """
        with self._lock:
            if not self._free:
                if self._cells == self._most:
                    return None
                try:
                    self._free.append(_Cell(self._device, self._form, self._size_hw[0]))
                except DeviceMemoryError:
                    if not self._cells:
                        raise
                    return None
                self._cells += 1
            cell = self._free.pop()
            luma, chroma = cell.planes
            frame = replace(self._form, luma=luma.pointer, chroma=chroma.pointer)
            return Surface(_Lease(self, cell, frame), frame, self._size_hw)

    def bgr(self, frame: Nv12Frame, ready: Event) -> NDArray[np.uint8]:
        """A picture of the form, wherever it lies, as (H, W, 3) uint8 BGR: waits for it. Raises EngineError."""
        with self._lock, self._device.current():
            self._stream.wait(ready)
            point_to(self._launch, frame)
            self._convert(self._stream)
            self._stream.download(self._host.array, self._bgr.array)
            self._stream.synchronize()
            return self._host.array.copy()

    def give_back(self, cell: _Cell) -> None:
        """Nobody looks at it any more."""
        with self._lock:
            self._free.append(cell)
            if self._closed:
                self._free_unused()

    def close(self) -> None:
        """Free what is not in use now, and the rest, with the device, when the last picture is dropped."""
        with self._lock:
            self._closed = True
            self._free_unused()

    def _free_unused(self) -> None:
        for cell in self._free:
            cell.close()
            self._cells -= 1
        self._free.clear()
        if not self._cells:
            self._closing.close()


class _Cell(Closing):
    """Memory for one picture, and the event of its having been filled."""

    def __init__(self, device: Device, form: Nv12Frame, height: int) -> None:
        luma, chroma = height * form.luma_pitch, (height + 1) // 2 * form.chroma_pitch
        with ExitStack() as stack:
            memory = stack.enter_context(DeviceBuffer(device, (luma + chroma,), np.uint8))
            self.ready = stack.enter_context(Event(device))
            self.planes = memory.array[:luma], memory.array[luma:]
            self._closing = stack.pop_all()

    def close(self) -> None:
        self._closing.close()


class _Lease:
    """A cell in use: it goes back when nobody holds this any more."""

    def __init__(self, pool: SurfacePool, cell: _Cell, frame: Nv12Frame) -> None:
        self.cell = cell
        self._pool = pool
        self._frame = frame
        self._image: NDArray[np.uint8] | None = None

    def image(self) -> NDArray[np.uint8]:
        if self._image is None:
            self._image = self._pool.bgr(self._frame, self.cell.ready)
        return self._image

    def __del__(self) -> None:
        self._pool.give_back(self.cell)
