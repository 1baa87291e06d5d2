"""Fixtures that every room's tests may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtparse.metadata import ModelMetadata


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real media and data beside the checkout; tests that need it are skipped where it is absent."""
    folder = (Path(__file__).parents[1] / "../shared").resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def make_onnx() -> Callable[..., Path]:
    """Write a real ONNX model: one 3x3 convolution of stride 2 from pictures to logits, with random weights.

    make_onnx(path, given=("N", 3, "H", "W"), classes=20, dtype=TensorProto.FLOAT, metadata=ModelMetadata()) -> path
    """

    def make(
        path: Path,
        given: tuple[int | str, ...] = ("N", 3, "H", "W"),
        classes: int = 20,
        dtype: int = TensorProto.FLOAT,
        metadata: ModelMetadata | None = None,
    ) -> Path:
        weights = np.random.default_rng(0).normal(0, 1, (classes, given[1], 3, 3))
        element = helper.tensor_dtype_to_np_dtype(dtype)
        node = helper.make_node("Conv", ["image", "weights"], ["logits"], strides=[2, 2], pads=[1, 1, 1, 1])
        graph = helper.make_graph(
            [node],
            "tiny",
            [helper.make_tensor_value_info("image", dtype, given)],
            [helper.make_tensor_value_info("logits", dtype, (given[0], classes, "h", "w"))],
            [numpy_helper.from_array(weights.astype(element), "weights")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, (metadata or ModelMetadata(name="tiny", size_hw=(64, 64))).to_props())
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_onnx(make_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dynamic sides whose input has about 64x64 pixels."""
    return make_onnx(tmp_path_factory.mktemp("models") / "tiny.onnx")
