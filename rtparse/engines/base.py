"""What every engine offers, whatever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.errors import EngineError
from rtparse.metadata import SIZE_MULTIPLE, ModelMetadata

if TYPE_CHECKING:
    from rtparse.device import Device
    from rtparse.device.frames import FramePath
    from rtparse.device.network import DeviceNetwork


class Engine(Closing, Protocol):
    """A loaded model. Engines inherit from this class, which makes them context managers.

    kind: "onnxruntime", "torch", ...
    path: the model file, or "" for one that has none.
    metadata: what the file says of itself.
    sizes: the (height, width) input sizes on offer; None when any multiple of 16 is.
    batch: how many images of several sources are best run together. 1 where that is no faster than one by one, as on
        CPUs: the first of them would only wait for the last.
    """

    kind: str
    path: str
    metadata: ModelMetadata
    sizes: tuple[tuple[int, int], ...] | None
    batch: int = 1

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Network input (N, 3, H, W) float32, normalized, to logits (N, classes, h, w) float32.

        Logits come at the network's own resolution (h = H/2, w = W/2 for C-DLinkNet) and belong to the caller.
        Thread-safe. Raises EngineError for a size that is not on offer, a failed run, or an engine that is closed.
        """
        ...

    def close(self) -> None:
        """Free the model; runs in progress end well. Calling it twice does nothing."""
        ...


@runtime_checkable
class FrameEngine(Protocol):
    """An engine on a GPU that frames can pass from their pixels to their labels without coming back in between."""

    def frame_path(self, network_hw: tuple[int, int], *, depth: int, smooth: float) -> FramePath:
        """The way of frames whose network input has that size, with so many batches on the way at once.

        smooth: strength of a `rtparse.smoothing.Smoother` for each source; 0 is off.

        The caller closes it. Thread-safe. Raises EngineError for a size that is not on offer or an engine that is
        closed, DeviceMemoryError.
        """
        ...

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, DeviceNetwork]:
        """The bare network that such frames pass, to be timed, and its GPU, which stays the engine's.

        graphs: False lets no library replay its work as a CUDA graph by itself.
        The caller closes the network, before the engine. Raises as `frame_path` does.
        """
        ...


def check_batch(batch: NDArray[np.float32], sizes: tuple[tuple[int, int], ...] | None) -> None:
    """Raise EngineError unless `batch` is what `Engine.infer` takes."""
    if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[0] == 0 or batch.shape[1] != 3:
        raise EngineError(f"got a batch of shape {batch.shape} and dtype {batch.dtype}, expected (N, 3, H, W) float32")
    check_size((batch.shape[2], batch.shape[3]), sizes)


def check_size(network_hw: tuple[int, int], sizes: tuple[tuple[int, int], ...] | None) -> None:
    """Raise EngineError unless the network takes inputs of that size; `sizes` as of an Engine."""
    height, width = network_hw
    if sizes is None:
        if height == 0 or width == 0 or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise EngineError(f"got a network input of {height}x{width}", f"expected multiples of {SIZE_MULTIPLE}")
    elif (height, width) not in sizes:
        offered = ", ".join(f"{h}x{w}" for h, w in sizes)
        raise EngineError(f"got a network input of {height}x{width}", f"the model offers {offered}")
