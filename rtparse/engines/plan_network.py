"""A TensorRT engine as a network of the GPU: what it reads and writes, and its execution contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtparse.device import Device, DeviceArray, DeviceBuffer, Stream
from rtparse.device.driver import forked
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
    """An engine's network with an execution context for each shape: a recorded graph is tied to its context, and a
    context whose shape changes to nothing but its last. They share the memory in which layers compute.
    """

    def __init__(
        self,
        device: Device,
        loaded: Loaded,
        interface: Interface,
        size_hw: tuple[int, int] | None = None,
        *,
        graphs: bool = True,
    ) -> None:
        """loaded: freed by others, after this. size_hw: of the one profile to run; None for all.
        graphs: whether TensorRT-RTX may record its work.

        Raises DeviceMemoryError where there is no room for what the layers compute.
        """
        self.profiles = tuple(each for each in interface.profiles if size_hw in (None, each.size_hw))
        self.given_dtype, self.logits_dtype = interface.given_dtype, interface.logits_dtype
        # TensorRT-RTX exchanges its kernels while it runs, and records its own graphs.
        self.recordable = not loaded.plan.flavour.portable
        self._graphs = graphs
        self._interface = interface
        self._device = device
        self._loaded = loaded
        self._index = {each.size_hw: i for i, each in enumerate(interface.profiles)}
        self._contexts: dict[tuple[int, ...], _Context] = {}
        self._memory = DeviceBuffer(device, (max(loaded.engine.device_memory_size_v2, 1),), np.uint8)

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        with self._device.current():
            return tuple(self._context(given).context.get_tensor_shape(self._interface.logits))

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        with self._device.current():
            run = self._context(given.shape)
            if run.addresses != (given.pointer, logits.pointer):
                for name, array in ((self._interface.given, given), (self._interface.logits, logits)):
                    self._set(run.context.set_tensor_address(name, array.pointer), f"the address of {name}")
                run.addresses = (given.pointer, logits.pointer)
            if not run.context.execute_async_v3(stream.handle):
                raise self._error(f"failed on a batch of shape {given.shape}")

    def close(self) -> None:
        """Free the execution contexts and their memory; their work has ended. In a forked process it does nothing."""
        if forked():
            return
        with self._device.lock:
            if self._contexts:
                with self._device.current():
                    self._contexts.clear()
            self._memory.close()

    def _context(self, shape: tuple[int, ...]) -> _Context:
        if shape not in self._contexts:
            context = self._create()
            context.set_device_memory(self._memory.array.pointer, self._memory.array.nbytes)
            profile = self._index[shape[2], shape[3]]
            with Stream(self._device) as stream:
                self._set(context.set_optimization_profile_async(profile, stream.handle), f"its profile {profile}")
                stream.synchronize()
            self._set(context.set_input_shape(self._interface.given, shape), f"an input of shape {shape}")
            self._contexts[shape] = _Context(context)
        return self._contexts[shape]

    def _create(self) -> Any:
        trt, engine = self._loaded.plan.library, self._loaded.engine
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self.recordable:
            context = engine.create_execution_context(strategy)
        else:
            config = engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(strategy)
            if self._graphs and hasattr(trt, "CudaGraphStrategy"):
                config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            context = engine.create_execution_context(config)
        if context is None:
            raise self._error("has no execution context")
        return context

    def _set(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise self._error(f"refuses {what}")

    def _error(self, what: str) -> EngineError:
        said = self._loaded.logger.last
        return EngineError(f"{self._loaded.plan.path} {what}" + (f" ({said})" if said else ""))


@dataclass
class _Context:
    """An execution context of one shape. addresses: of input and logits, as last set."""

    context: Any
    addresses: tuple[int, int] = (0, 0)
