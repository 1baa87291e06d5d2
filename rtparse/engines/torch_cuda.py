"""PyTorch on an NVIDIA GPU, with frames that stay there: half precision, channels last, a CUDA graph for each shape.

It lets the whole of the GPU's path run, and be measured, where TensorRT is not installed.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np

from rtparse.device import Device, DeviceArray, Stream
from rtparse.device.driver import check_process, forked
from rtparse.device.frames import FramePath, Overlay
from rtparse.device.network import DeviceNetwork
from rtparse.engines.base import check_size
from rtparse.engines.torch_engine import TorchEngine
from rtparse.errors import DeviceMemoryError, EngineError
from rtparse.sidecar import Profile

_log = logging.getLogger("rtparse")

BATCH = 4
"""Most frames of several sources that go through at once."""


def can_keep_frames() -> bool:
    """Whether torch has a GPU here and what frames need to stay on it is installed."""
    import torch

    needed = ("pycuda", "cuda", "cuda.bindings")
    return torch.cuda.is_available() and all(importlib.util.find_spec(name) for name in needed)


class TorchCudaEngine(TorchEngine):
    """A .safetensors checkpoint on a CUDA device.

    `infer` is the reference, in float32; frames that stay on the GPU go through a copy of the network in float16.
    """

    batch = BATCH

    def __init__(self, path: str | Path, device: int | None = None) -> None:
        super().__init__(path, device)
        self._index = device or 0
        self._lock = Lock()
        self._gpu: Device | None = None
        self._half: Any = None
        self._paths: WeakSet[FramePath] = WeakSet()

    def frame_path(
        self,
        network_hw: tuple[int, int],
        *,
        depth: int = 3,
        labels: bool = True,
        overlay: Overlay | None = None,
        smooth: float = 0.0,
    ) -> FramePath:
        """The way of frames through this engine; see `FramePath`. Closed by the caller, or with the engine."""
        check_size(network_hw, self.sizes)
        check_process()
        with self._lock:
            device, network = self._open(network_hw, graphs=True)
            path = FramePath(device, network, self.metadata, depth=depth, labels=labels, overlay=overlay, smooth=smooth)
            self._paths.add(path)
            return path

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, DeviceNetwork]:
        check_size(network_hw, self.sizes)
        check_process()
        with self._lock:
            return self._open(network_hw, graphs)

    def close(self) -> None:
        if forked():
            return
        with self._lock:
            for path in self._paths:
                path.close()
            if self._gpu is not None:
                self._gpu.close()
            self._half = None
            super().close()

    def _open(self, network_hw: tuple[int, int], graphs: bool) -> tuple[Device, TorchNetwork]:
        if self._model is None:
            raise EngineError(f"{self.path} was closed", "open it again")
        if self._gpu is None:
            self._gpu, self._half = Device(self._index), half_precision(self._model)
        classes = len(self.metadata.classes)
        return self._gpu, TorchNetwork(self._half, classes, network_hw, BATCH, self._index, graphs=graphs)


class TorchNetwork(DeviceNetwork):
    """A torch module on CUDA, in float16. Torch records its graphs itself, with memory of their own."""

    recordable = False

    def __init__(
        self, model: Any, classes: int, size_hw: tuple[int, int], most: int, device: int = 0, *, graphs: bool = True
    ) -> None:
        """model: as `half_precision` makes it, on that GPU. most: pictures of a batch. graphs: whether it records."""
        self._device = device
        self._records = graphs
        self.profiles = (Profile(size_hw, (1, 1, most)),)
        self.given_dtype = self.logits_dtype = np.dtype(np.float16)
        self._model = model
        self._classes = classes
        self._graphs: dict[tuple[object, ...], Any] = {}

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        return given[0], self._classes, given[2] // 2, given[3] // 2

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        import torch

        key = (given.pointer, logits.pointer, given.shape)
        with _translated(given.shape), torch.inference_mode(), torch.cuda.device(self._device):
            on = torch.cuda.ExternalStream(stream.handle)  # type: ignore[no-untyped-call]
            with torch.cuda.stream(on):
                if (graph := self._graphs.get(key)) is not None:
                    graph.replay()
                    return
                source, target = (torch.as_tensor(array, device="cuda") for array in (given, logits))
                forward(self._model, source, target)
            if self._records and key not in self._graphs:
                stream.synchronize()
                self._graphs[key] = self._record(on, source, target)

    def close(self) -> None:
        self._graphs.clear()

    def _record(self, stream: Any, source: Any, target: Any) -> Any:
        import torch

        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                forward(self._model, source, target)
        except RuntimeError as error:
            _log.info("no CUDA graph: %s", error)
            return None
        return graph


def half_precision(model: Any) -> Any:
    """A copy of a module in float16, channels last, where it is."""
    import torch

    return copy.deepcopy(model).half().to(memory_format=torch.channels_last)


def forward(model: Any, given: Any, logits: Any) -> None:
    """Run a module of `half_precision` from one contiguous tensor, (N, 3, H, W), into another."""
    import torch

    logits.copy_(model(given.contiguous(memory_format=torch.channels_last)))


@contextmanager
def _translated(shape: tuple[int, ...]) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(f"torch: {str(error).splitlines()[0]}", "use a smaller size or batch") from error
    except RuntimeError as error:
        raise EngineError(f"torch failed on a batch of shape {shape} ({str(error).splitlines()[0]})") from error
