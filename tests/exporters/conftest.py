"""Networks and the real TensorRT-RTX for the tests of exports."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from rtparse.engines.flavours import FLAVOURS, Flavour
from rtparse.exporters.graph import load_network
from rtparse.models import resolve


@pytest.fixture(scope="session")
def rtx() -> Flavour:
    """The TensorRT that builds without a GPU, for real; tests are skipped where it is not installed."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("no tensorrt_rtx: install it with ../shared/tools/install_tensorrt_rtx.py")
    return FLAVOURS["tensorrt-rtx"]


@pytest.fixture(scope="session")
def network() -> onnx.ModelProto:
    """The built-in model."""
    return load_network(resolve("small"))[0]


@pytest.fixture(scope="session")
def picture() -> NDArray[np.float32]:
    """A network input of 64x48, batch 1."""
    return np.random.default_rng(0).normal(size=(1, 3, 64, 48)).astype(np.float32)


Logits = Callable[[onnx.ModelProto, NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture(scope="session")
def logits_of() -> Logits:
    """What ONNX Runtime computes of a graph, as float32."""

    def compute(proto: onnx.ModelProto, given: NDArray[np.float32]) -> NDArray[np.float32]:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        (tensor,) = session.get_inputs()
        element = np.float16 if tensor.type == "tensor(float16)" else np.float32
        (logits,) = session.run(None, {tensor.name: given.astype(element)})
        return logits.astype(np.float32)

    return compute
