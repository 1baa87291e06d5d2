"""rtparse's kernels on a GPU: compiled and loaded once, launched with arguments that lie ready."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from rtparse.device.context import Device
from rtparse.device.driver import call
from rtparse.device.owned import Owned
from rtparse.device.streams import Stream
from rtparse.kernels import Variant
from rtparse.kernels.launch import Launch
from rtparse.kernels.nvrtc import Compiled, compile_kernel


class Compiler(Protocol):
    """As `rtparse.kernels.nvrtc.compile_kernel`."""

    def __call__(self, kernel: str, variant: Variant = (), *, arch: str) -> Compiled: ...


class Kernels(Owned):
    """The kernels of one device, each compiled for it when it is first prepared. Thread-safe."""

    def __init__(self, device: Device, compiler: Compiler = compile_kernel) -> None:
        self._arch = "sm_{}{}".format(*device.compute_capability)
        self._compiler = compiler
        self._modules: list[Any] = []
        self._functions: dict[str, Any] = {}
        super().__init__(device)

    def prepare(self, launch: Launch) -> Callable[[Stream], None]:
        """What puts the launch into a stream's work, as often as it is called, and makes no object for it.

        It reads the launch's arguments each time, and is no longer called once the kernels are closed. Raises
        MissingDependencyError without NVRTC, EngineError where the kernel cannot be compiled, DeviceError where it
        cannot be loaded.
        """
        device = self.device
        function = self._function(launch)
        addresses = launch.params()
        params = ctypes.addressof(addresses)
        geometry = (*launch.grid, *launch.block)

        def on(stream: Stream, kept: object = (launch, addresses)) -> None:
            with device.current():
                call("cuLaunchKernel", function, *geometry, 0, stream.handle, params, 0)

        return on

    def _function(self, launch: Launch) -> Any:
        with self.device.lock, self.device.current():
            if launch.entry not in self._functions:
                compiled = self._compiler(launch.kernel, launch.variant, arch=self._arch)
                module = call("cuModuleLoadData", compiled.code)
                self._modules.append(module)
                self._functions[launch.entry] = call("cuModuleGetFunction", module, compiled.entry.encode())
            return self._functions[launch.entry]

    def _free(self) -> None:
        while self._modules:
            call("cuModuleUnload", self._modules[-1])
            self._modules.pop()
