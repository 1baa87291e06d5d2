"""A TensorRT engine as a network of the GPU: what it reads and writes, and its execution contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtparse.device import Device, DeviceArray, Stream
from rtparse.device.driver import forked, out_of_memory
from rtparse.device.network import DeviceNetwork
from rtparse.engines.plan import Loaded
from rtparse.errors import EngineError
from rtparse.sidecar import Profile


@dataclass(frozen=True)
class Interface:
    """The input and the logits of an engine, by name and dtype, and the inputs that it takes."""

    given: str
    logits: str
    given_dtype: np.dtype[Any]
    logits_dtype: np.dtype[Any]
    profiles: tuple[Profile, ...]

    @classmethod
    def of(cls, loaded: Loaded) -> Interface:
        """Raises EngineError for a plan of another network. A profile with a range of sizes offers its usual one."""
        trt, engine = loaded.plan.library, loaded.engine
        known: dict[Any, np.dtype[Any]] = {trt.float32: np.dtype(np.float32), trt.float16: np.dtype(np.float16)}
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        names.sort(key=lambda name: engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT)
        modes = [engine.get_tensor_mode(name) for name in names]
        shapes = [tuple(engine.get_tensor_shape(name)) for name in names]
        types = [engine.get_tensor_dtype(name) for name in names]
        classes = len(loaded.plan.metadata.classes)
        if (
            modes != [trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT]
            or [shape[1:2] for shape in shapes if len(shape) == 4] != [(3,), (classes,)]
            or not all(each in known for each in types)
            or any(engine.get_tensor_format(name) != trt.TensorFormat.LINEAR for name in names)
        ):
            got = ", ".join(f"{name} {each}{shape}" for name, each, shape in zip(names, types, shapes, strict=True))
            raise EngineError(
                f"{loaded.plan.path} is a plan of another network: got {got}; expected one input (N, 3, H, W) and one "
                f"output (N, {classes}, h, w), float16 or float32 and linear",
                loaded.plan.rebuild,
            )
        profiles = []
        for i in range(engine.num_optimization_profiles):
            fewest, usual, most = (tuple(dims) for dims in engine.get_tensor_profile_shape(names[0], i))
            profiles.append(Profile((usual[2], usual[3]), (fewest[0], usual[0], most[0])))
        return cls(names[0], names[1], known[types[0]], known[types[1]], tuple(profiles))


class PlanNetwork(DeviceNetwork):
    """An execution context for each profile that is asked for, of an engine that others free after it."""

    def __init__(
        self, device: Device, loaded: Loaded, interface: Interface, size_hw: tuple[int, int] | None = None
    ) -> None:
        """size_hw: of the one profile to run; None for all.

        Raises DeviceMemoryError where there is no room for what the layers compute, EngineError.
        """
        chosen = [i for i, each in enumerate(interface.profiles) if size_hw in (None, each.size_hw)]
        self.profiles = tuple(interface.profiles[i] for i in chosen)
        self.given_dtype, self.logits_dtype = interface.given_dtype, interface.logits_dtype
        self._interface = interface
        self._device = device
        self._loaded = loaded
        self._index = {profile.size_hw: i for i, profile in enumerate(self.profiles)}
        self._contexts: list[Any] = []
        self._bound: list[tuple[object, ...]] = [()] * len(self.profiles)  # addresses and shape as last set
        try:
            with device.current(), Stream(device) as stream:
                for i in chosen:
                    self._contexts.append(self._context(i, stream))
                stream.synchronize()
        except BaseException:
            self.close()
            raise

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        i = self._index[given[2], given[3]]
        self._bound[i] = ()
        with self._device.current():
            self._set(self._contexts[i].set_input_shape(self._interface.given, given), f"an input of shape {given}")
            return tuple(self._contexts[i].get_tensor_shape(self._interface.logits))

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        i = self._index[given.shape[2], given.shape[3]]
        context, names, binding = self._contexts[i], self._interface, (given.pointer, logits.pointer, given.shape)
        with self._device.current():
            if self._bound[i] != binding:
                self._set(context.set_input_shape(names.given, given.shape), f"an input of shape {given.shape}")
                self._set(context.set_tensor_address(names.given, given.pointer), "the address of its input")
                self._set(context.set_tensor_address(names.logits, logits.pointer), "the address of its logits")
                self._bound[i] = binding
            if not context.execute_async_v3(stream.handle):
                raise self._error(f"failed on a batch of shape {given.shape}")

    def close(self) -> None:
        """Free the execution contexts; their work has ended. In a forked process it does nothing."""
        with self._device.lock:
            if self._contexts and not forked():
                with self._device.current():
                    self._contexts.clear()

    def _context(self, i: int, stream: Stream) -> Any:
        context = self._loaded.engine.create_execution_context()
        if context is None:
            asked = self._loaded.engine.get_device_memory_size_for_profile_v2(i)
            free, total = self._device.memory()
            raise out_of_memory(asked, free, total) if asked > free else self._error("has no execution context")
        self._set(context.set_optimization_profile_async(i, stream.handle), f"its profile {i}")
        return context

    def _set(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise self._error(f"refuses {what}")

    def _error(self, what: str) -> EngineError:
        said = self._loaded.logger.last
        return EngineError(f"{self._loaded.plan.path} {what}" + (f" ({said})" if said else ""))
