"""TensorRT and TensorRT-RTX on an NVIDIA GPU: the product's main path."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from rtparse.device import Device
from rtparse.device.driver import check_process, forked
from rtparse.device.frames import FramePath, Overlay
from rtparse.device.kernels import Compiler
from rtparse.device.network import DeviceNetwork
from rtparse.device.runner import Runner
from rtparse.engines.base import Engine, check_batch, check_size
from rtparse.engines.plan import Plan
from rtparse.engines.plan_network import Interface, PlanNetwork
from rtparse.errors import EngineError
from rtparse.kernels.nvrtc import compile_kernel


class TensorRTEngine(Engine):
    """A .plan or .engine file. It is native code: open only what you trust.

    What can be known of it is compared with this machine before the library sees it. Closing frees graphs, execution
    contexts, memory, engine and runtime, in this order, and then lets go of the GPU.
    """

    def __init__(self, path: str | Path, device: int = 0) -> None:
        """device: which GPU.

        Raises UsageError for a missing file, MissingDependencyError without the plan's library or PyCUDA, EngineError
        for a plan that does not fit its sidecar, this machine or the protocol, DeviceError where the GPU cannot be
        used.
        """
        plan = Plan.read(path)
        self.path = str(path)
        self.kind = plan.flavour.name
        self.metadata = plan.metadata
        self._lock = Lock()
        self._runner: Runner | None = None
        self._paths: WeakSet[FramePath] = WeakSet()
        self._closed = False
        with ExitStack() as stack:
            self._device = stack.enter_context(Device(device))
            self._loaded = stack.enter_context(plan.deserialize(self._device))
            self._interface = Interface.of(self._loaded)
            self._closing = stack.pop_all()
        self.sizes = tuple(profile.size_hw for profile in self._interface.profiles)
        self.batch = min(profile.batch[1] for profile in self._interface.profiles)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        check_batch(batch, self.sizes)
        check_process()
        with self._lock:
            if self._runner is None:  # its memory is only taken where it is used
                self._runner = Runner(self._device, self._network())
            runner = self._runner
        return runner.infer(batch)

    def frame_path(
        self,
        network_hw: tuple[int, int],
        *,
        depth: int = 3,
        labels: bool = True,
        overlay: Overlay | None = None,
        smooth: float = 0.0,
        compiler: Compiler = compile_kernel,
    ) -> FramePath:
        """The way of frames through this engine without leaving the GPU; see `FramePath` for what it takes and raises.

        network_hw: the network input's size, one of `sizes`.
        It has an execution context of its own, so several paths run side by side. The caller closes it; at the latest
        it is closed with the engine. Raises EngineError as `infer` does.
        """
        check_size(network_hw, self.sizes)
        check_process()
        with self._lock:
            path = FramePath(
                self._device,
                self._network(network_hw),
                self.metadata,
                depth=depth,
                labels=labels,
                overlay=overlay,
                smooth=smooth,
                compiler=compiler,
            )
            self._paths.add(path)
            return path

    def device_network(self, network_hw: tuple[int, int], *, graphs: bool = True) -> tuple[Device, DeviceNetwork]:
        check_size(network_hw, self.sizes)
        check_process()
        with self._lock:
            return self._device, self._network(network_hw, graphs=graphs)

    def close(self) -> None:
        if forked():  # whose threads that hold locks are not here
            self._device.close()
            return
        with self._lock:
            self._closed = True
            for user in (*self._paths, self._runner):
                if user is not None:
                    user.close()
            self._closing.close()

    def _network(self, size_hw: tuple[int, int] | None = None, *, graphs: bool = True) -> PlanNetwork:
        if self._closed:
            raise EngineError(f"{self.path} was closed", "open it again")
        return PlanNetwork(self._device, self._loaded, self._interface, size_hw, graphs=graphs)
