"""What only a GPU and its TensorRT can show: plans that run, the plugin in them, the faster form kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rtparse.engines import open_engine
from rtparse.engines.flavours import FLAVOURS
from rtparse.exporters.machine import this_machine
from rtparse.exporters.tensorrt import PlanRequest, export_plan
from rtparse.models import resolve

pytestmark = pytest.mark.gpu

SIZE = (176, 304)


def request_for(flavour: str, **changed) -> PlanRequest:
    if importlib.util.find_spec(FLAVOURS[flavour].module) is None:
        pytest.skip(f"{flavour} is not installed")
    if reason := this_machine(FLAVOURS[flavour]).no_gpu:
        pytest.skip(f"no GPU: {reason}")
    options = {"precision": "fp16", "batch": (1, 2, 4), "sizes": (SIZE,), "fused": "off", "command": "rtparse export"}
    return PlanRequest(FLAVOURS[flavour], verified=True, **(options | changed))


@pytest.mark.parametrize("flavour", list(FLAVOURS))
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_plan_gives_the_labels_of_onnx_runtime(tmp_path: Path, flavour: str, precision: str) -> None:
    made = export_plan(resolve("small"), tmp_path / "m.plan", request_for(flavour, precision=precision))
    assert made.build.verified == (1, 2, 3, 4)
    with open_engine(tmp_path / "m.plan") as engine:
        assert engine.infer(np.zeros((3, 3, *SIZE), np.float32)).shape == (3, 20, 88, 152)


@pytest.mark.parametrize("size_count", [1, 2])  # constant sizes; sizes that the plugin's kernel is told when it runs
def test_the_plugin_in_a_plan(tmp_path: Path, size_count: int) -> None:
    sizes = (SIZE, (256, 192))[:size_count]
    made = export_plan(resolve("small"), tmp_path / "m.plan", request_for("tensorrt", fused="on", sizes=sizes))
    assert made.build.fused
    assert made.build.verified == (1, 2, 3, 4)


def test_the_faster_form_is_kept(tmp_path: Path) -> None:
    made = export_plan(resolve("small"), tmp_path / "m.plan", request_for("tensorrt", fused="auto")).build
    assert made.fused_ms is not None
    assert made.plain_ms is not None
    assert made.fused == (made.fused_ms < made.plain_ms)
