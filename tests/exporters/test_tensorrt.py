"""From an ONNX file to a plan and its sidecar, by the real TensorRT-RTX, without a GPU."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from rtparse.engines.flavours import FLAVOURS, Flavour
from rtparse.errors import EngineError, MissingDependencyError, RtparseError, UsageError
from rtparse.exporters.machine import this_machine, timing_cache_path
from rtparse.exporters.onnx import to_onnx
from rtparse.exporters.tensorrt import Listener, PlanRequest, export_plan
from rtparse.metadata import ModelMetadata
from rtparse.models import resolve
from rtparse.sidecar import Profile, Target, read_sidecar
from rtparse.train.model import PRESETS, build_model
from rtparse.train.synthetic import render_scene

SIZE = (64, 48)


@pytest.fixture
def request_(rtx: Flavour, pictures: Path) -> PlanRequest:
    if not this_machine(rtx).no_gpu:
        pytest.skip("there is a GPU: plans are compared with ONNX Runtime on it, see the tests marked gpu")
    command = "rtparse export --to model.plan -y"
    return PlanRequest(rtx, "fp32", (1, 1, 1), (SIZE,), "auto", command, images=pictures)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small pictures with people."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        rng = np.random.default_rng(number)
        cv2.imwrite(str(folder / f"{number}.jpg"), render_scene(rng, (96, 72)).image_bgr)
    return folder


def test_a_plan_and_its_sidecar(request_: PlanRequest, tmp_path: Path) -> None:
    said: list[str] = []
    target = tmp_path / "model.plan"
    made = export_plan(resolve("small"), target, replace(request_, precision="fp16"), Listener(say=said.append))
    assert read_sidecar(target) == made
    made.check_plan(target.read_bytes())
    made.check_target(this_machine(request_.flavour).target)
    assert (made.metadata.name, made.metadata.precision) == ("small", "fp16")
    assert made.target.gpu == ""
    assert made.profiles == (Profile(SIZE, (1, 1, 1)),)
    assert [each.shape for each in made.tensors] == [(1, 3, 64, 48), (1, 20, 32, 24)]
    assert made.onnx_sha256 == hashlib.sha256(resolve("small").read_bytes()).hexdigest()
    assert made.build.command == request_.command
    assert (made.build.fused, made.build.verified) == (False, ())
    assert made.build.unverified  # says why
    assert said == ["measuring the layers in fp16", "building"]
    assert {path.name for path in tmp_path.iterdir()} == {"model.plan", "model.plan.json"}


def test_batches_and_several_sizes(request_: PlanRequest, tmp_path: Path) -> None:
    made = export_plan(
        resolve("small"), tmp_path / "m.plan", replace(request_, batch=(1, 2, 4), sizes=(SIZE, (48, 80)))
    )
    assert made.profiles == (Profile(SIZE, (1, 2, 4)), Profile((48, 80), (1, 2, 4)))
    assert [each.shape for each in made.tensors] == [(-1, 3, -1, -1), (-1, 20, -1, -1)]


def test_int8_by_pictures(request_: PlanRequest, pictures: Path, tmp_path: Path) -> None:
    sure = onnx.load(resolve("small"))
    bias = [node for node in sure.graph.node if node.op_type == "Conv"][-1].input[2]
    (tensor,) = [weight for weight in sure.graph.initializer if weight.name == bias]
    # Pictures of 64x48 leave INT8 unsure; this network is sure of one class, so that INT8 cannot change its mind.
    values = numpy_helper.to_array(tensor) + 50 * (np.arange(20) == 13)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), bias))
    source = tmp_path / "sure.onnx"
    onnx.save(sure, source)
    seen: list[int] = []
    made = export_plan(
        source,
        tmp_path / "m.plan",
        replace(request_, precision="int8", calibrate=pictures),
        Listener(on_picture=lambda done, total: seen.append(done)),
    )
    assert made.metadata.precision == "int8"
    assert made.build.float32_layers == ("node_conv2d_41",)  # the one that gives the logits
    assert made.plan_bytes < 0.8 * 12.6e6 * 2
    assert seen


def presets() -> list[str]:
    """The larger ones take a minute each: RTPARSE_ALL_PRESETS=1 builds them too."""
    return list(PRESETS) if os.environ.get("RTPARSE_ALL_PRESETS") else ["nano"]


@pytest.mark.parametrize("preset", presets())
def test_every_preset_becomes_a_plan(request_: PlanRequest, tmp_path: Path, preset: str) -> None:
    torch.manual_seed(0)
    model = build_model(preset)
    source = tmp_path / f"{preset}.onnx"
    metadata = ModelMetadata(name=preset)
    source.write_bytes(to_onnx(model, metadata).SerializeToString())
    made = export_plan(source, tmp_path / "m.plan", replace(request_, sizes=((256, 192),)))
    assert made.tensors[1].shape == (1, 20, 128, 96)
    assert made.metadata.name == preset


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fused": "on"}, "tensorrt-rtx has no plugins for the fused upsample-concat; give --fused off"),
        ({"timing_cache": Path("cache")}, "tensorrt-rtx has no timing cache"),
        ({"verified": True}, "--verify needs a GPU: "),
        ({"precision": "int8"}, "without pictures to calibrate on"),
        ({"sizes": ((64, 50),)}, "no multiple of 16"),
    ],
)
def test_what_does_not_go_together(request_: PlanRequest, tmp_path: Path, changed, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export_plan(resolve("small"), tmp_path / "m.plan", replace(request_, **changed))
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_the_plan_cannot_lie(request_: PlanRequest, tmp_path: Path) -> None:
    (tmp_path / "m.plan").mkdir()
    with pytest.raises(EngineError, match=r"m\.plan cannot be written"):
        export_plan(resolve("small"), tmp_path / "m.plan", request_)
    assert [path.name for path in tmp_path.iterdir()] == ["m.plan"]


def test_full_tensorrt_builds_on_the_gpu_only(request_: PlanRequest, tmp_path: Path) -> None:
    # The flavour's rules, over the library that is here.
    full = replace(request_.flavour, name="tensorrt", plugins=True, timing_cache=True, portable=False)
    with pytest.raises(EngineError, match=r"tensorrt builds on the GPU .* or give --flavour tensorrt-rtx"):
        export_plan(resolve("small"), tmp_path / "m.plan", replace(request_, flavour=full))


def test_a_library_that_is_not_installed(request_: PlanRequest, tmp_path: Path) -> None:
    none = replace(FLAVOURS["tensorrt"], module="tensorrt_of_another_planet")
    with pytest.raises(MissingDependencyError, match=r'pip install "rtparse\[tensorrt\]"'):
        export_plan(resolve("small"), tmp_path / "m.plan", replace(request_, flavour=none))


def test_a_library_that_is_too_old(rtx: Flavour) -> None:
    with pytest.raises(RtparseError, match=r'tensorrt_rtx is \d.*; run: pip install "tensorrt_rtx>=99.0"'):
        this_machine(replace(rtx, oldest=(99, 0)))


def test_timing_caches_of_other_versions_gpus_and_drivers_lie_apart(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = Target("tensorrt", "10.13.3.9", "Linux x86_64", "NVIDIA RTX A4000/SFF", "8.6", "CUDA 13.0")
    paths = {
        timing_cache_path(target)
        for target in (
            here,
            replace(here, version="10.14.1.48"),
            replace(here, gpu="NVIDIA L4"),
            replace(here, driver="CUDA 12.9"),
        )
    }
    assert len(paths) == 4
    assert (
        timing_cache_path(here) == tmp_path / "rtparse/timing/tensorrt-10.13.3.9-NVIDIA-RTX-A4000-SFF-CUDA-13.0.cache"
    )
