"""TensorRT and TensorRT-RTX on an NVIDIA GPU: the product's main path."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.device import Device, DeviceArray, Stream
from rtparse.device.driver import out_of_memory
from rtparse.device.network import DeviceNetwork
from rtparse.device.runner import Runner
from rtparse.engines.base import Engine, check_batch
from rtparse.engines.plan import Plan
from rtparse.errors import EngineError
from rtparse.sidecar import Profile


class TensorRTEngine(Engine):
    """A .plan or .engine file. It is native code: open only what you trust.

    What can be known of it is compared with this machine before the library sees it. Closing frees graphs, execution
    contexts, engine, runtime and memory, in this order, and then lets go of the GPU.
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
        with ExitStack() as stack:
            gpu = stack.enter_context(Device(device))
            network = PlanNetwork(plan, gpu)
            self._runner = stack.enter_context(Runner(gpu, network))
            self._closing = stack.pop_all()
        self.sizes = tuple(profile.size_hw for profile in network.profiles)
        self.batch = min(profile.batch[1] for profile in network.profiles)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        check_batch(batch, self.sizes)
        return self._runner.infer(batch)

    def close(self) -> None:
        self._closing.close()


class PlanNetwork(DeviceNetwork):
    """A plan as a network of the GPU, with an execution context for each of its profiles."""

    def __init__(self, plan: Plan, device: Device) -> None:
        """Raises EngineError for a plan that cannot be loaded or is no network of rtparse's, DeviceMemoryError."""
        self._device = device
        self._plan = plan
        self._contexts: list[Any] = []
        self._bound: list[tuple[object, ...]] = []  # for each context: addresses and shape as last set
        self._loaded = plan.deserialize(device)
        try:
            self._given, self._logits, self.given_dtype, self.logits_dtype = self._interface()
            self.profiles = tuple(self._profile(i) for i in range(self._loaded.engine.num_optimization_profiles))
            self._index = {profile.size_hw: i for i, profile in enumerate(self.profiles)}
            with device.current(), Stream(device) as stream:
                for i in range(len(self.profiles)):
                    self._contexts.append(self._context(i, stream))
                    self._bound.append(())
                stream.synchronize()
        except BaseException:
            self.close()
            raise

    def logits_shape(self, given: tuple[int, ...]) -> tuple[int, ...]:
        i = self._index[given[2], given[3]]
        self._bound[i] = ()
        with self._device.current():
            self._set(self._contexts[i].set_input_shape(self._given, given), f"an input of shape {given}")
            return tuple(self._contexts[i].get_tensor_shape(self._logits))

    def enqueue(self, stream: Stream, given: DeviceArray, logits: DeviceArray) -> None:
        i = self._index[given.shape[2], given.shape[3]]
        context, binding = self._contexts[i], (given.pointer, logits.pointer, given.shape)
        with self._device.current():
            if self._bound[i] != binding:
                self._set(context.set_input_shape(self._given, given.shape), f"an input of shape {given.shape}")
                self._set(context.set_tensor_address(self._given, given.pointer), "the address of its input")
                self._set(context.set_tensor_address(self._logits, logits.pointer), "the address of its logits")
                self._bound[i] = binding
            if not context.execute_async_v3(stream.handle):
                raise self._error(f"failed on a batch of shape {given.shape}")

    def close(self) -> None:
        """Free the execution contexts, then the engine, then the runtime. Their work has ended."""
        with self._device.lock:
            if self._loaded.engine is not None:
                with self._device.current():
                    self._contexts.clear()
                    self._loaded.close()

    def _interface(self) -> tuple[str, str, np.dtype[Any], np.dtype[Any]]:
        """Names and dtypes of the input and the logits. Raises EngineError for a plan of another network."""
        trt, engine = self._plan.library, self._loaded.engine
        known: dict[Any, np.dtype[Any]] = {trt.float32: np.dtype(np.float32), trt.float16: np.dtype(np.float16)}
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        names.sort(key=lambda name: engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT)
        modes = [engine.get_tensor_mode(name) for name in names]
        shapes = [tuple(engine.get_tensor_shape(name)) for name in names]
        types = [engine.get_tensor_dtype(name) for name in names]
        classes = len(self._plan.metadata.classes)
        if (
            modes != [trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT]
            or [shape[1:2] for shape in shapes if len(shape) == 4] != [(3,), (classes,)]
            or not all(each in known for each in types)
            or any(engine.get_tensor_format(name) != trt.TensorFormat.LINEAR for name in names)
        ):
            got = ", ".join(f"{name} {each}{shape}" for name, each, shape in zip(names, types, shapes, strict=True))
            raise EngineError(
                f"{self._plan.path} is a plan of another network: got {got}; expected one input (N, 3, H, W) and one "
                f"output (N, {classes}, h, w), float16 or float32 and linear",
                self._plan.rebuild,
            )
        return names[0], names[1], known[types[0]], known[types[1]]

    def _profile(self, i: int) -> Profile:
        """A profile whose height and width are a range offers its usual ones."""
        fewest, usual, most = (tuple(dims) for dims in self._loaded.engine.get_tensor_profile_shape(self._given, i))
        return Profile((usual[2], usual[3]), (fewest[0], usual[0], most[0]))

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
        return EngineError(f"{self._plan.path} {what}" + (f" ({said})" if said else ""))
