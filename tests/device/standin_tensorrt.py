"""A stand-in for TensorRT's Python API, for what rtparse does with it; the real one runs on no stand-in driver.

A "plan" is JSON, and its network that of halving.py. `test_tensorrt.py` compares the names with the real library's.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from halving import PLANES, Halving
from standin_driver import compile_twin

from rtparse.device import Device, DeviceArray
from rtparse.device.driver import call
from rtparse.sidecar import Profile

__version__ = "11.0.0"

float32, float16, int8 = "float32", "float16", "int8"
freed: list[str] = []
"""What was freed, in this order."""


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class TensorFormat(Enum):
    LINEAR = 0
    HWC8 = 2


class ExecutionContextAllocationStrategy(Enum):
    USER_MANAGED = 2


class CudaGraphStrategy(Enum):
    WHOLE_GRAPH_CAPTURE = 1


class LayerInformationFormat(Enum):
    ONELINE = 0


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class Runtime:
    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> ICudaEngine | None:
        if not content.startswith(b"{"):
            self.logger.log(ILogger.ERROR, "Magic tag does not match\nand more")
            return None
        return ICudaEngine(json.loads(content), self.logger)

    def __del__(self) -> None:
        freed.append("runtime")


class ICudaEngine:
    """plan: "dtype"; "profiles", each fewest, usual and most (N, 3, H, W); and anything to be wrong."""

    def __init__(self, plan: dict[str, Any], logger: Any) -> None:
        self.plan = plan
        self.logger = logger
        self.names = plan.get("names", ["logits", "image"])
        self.num_io_tensors = len(self.names)
        self.num_optimization_profiles = len(plan["profiles"])
        self.num_layers = 2
        self.device_memory_size_v2 = int(plan.get("activations", 0))

    def get_tensor_name(self, index: int) -> str:
        return str(self.names[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "image" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return str(self.plan["dtype"])

    def get_tensor_format(self, name: str) -> TensorFormat:
        return TensorFormat[self.plan.get("format", "LINEAR")]

    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1, 3 if name == "image" else self.plan.get("classes", 3 + PLANES), -1, -1]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert name == "image"
        return list(self.plan["profiles"][profile_index])

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector()

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(
        self, strategy: ExecutionContextAllocationStrategy | IRuntimeConfig
    ) -> IExecutionContext | None:
        if isinstance(strategy, IRuntimeConfig):
            assert strategy.cuda_graph_strategy is CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            strategy = strategy.strategy
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        return None if self.plan.get("no_context") else IExecutionContext(self)

    def __del__(self) -> None:
        freed.append("engine")


class IRuntimeConfig:
    cuda_graph_strategy: CudaGraphStrategy

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        self.strategy = strategy


class EngineInspector:
    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:  # noqa: A002
        assert format is LayerInformationFormat.ONELINE
        return f"layer {layer_index}\n"


class IExecutionContext:
    _device: Device | None = None

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._device = Device(int(call("cuCtxGetDevice")))  # as the library does
        self._addresses: dict[str, int] = {}
        self._memory = (0, 0)
        self._executed = False

    def set_device_memory(self, memory: int, size: int) -> None:
        self._memory = (memory, size)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = self._engine.plan["profiles"][profile_index]
        batch, (_, _, *size_hw) = tuple(shape[0] for shape in self._profile), self._profile[2]
        profile = Profile(tuple(size_hw), batch)
        self._network = Halving(self._device, compile_twin, (profile,), self._engine.plan["dtype"])
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "image"
        assert not self._executed, "graphs that were recorded before would run with the new shape's state"
        fewest, _, most = self._profile
        self._shape = tuple(shape)
        return all(low <= side <= high for low, side, high in zip(fewest, shape, most, strict=True))

    def get_tensor_shape(self, name: str) -> list[int]:
        assert name == "logits"
        return list(self._network.logits_shape(self._shape))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._engine.plan.get("fails"):
            self._engine.logger.log(ILogger.ERROR, "the tactic was out of luck")
            return False
        assert self._memory[0]
        assert self._memory[1] >= self._engine.device_memory_size_v2
        self._executed = True
        given, logits = (
            DeviceArray(self._addresses[name], shape, self._network.given_dtype, None)
            for name, shape in (("image", self._shape), ("logits", self._network.logits_shape(self._shape)))
        )
        self._network.enqueue(_Handle(stream_handle), given, logits)
        return True

    def __del__(self) -> None:
        freed.append("context")
        if self._device is not None:
            self._device.close()


class _Handle:
    """As much of a Stream as a launch reads."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
