"""Which worker gets a plan, and how many workers there are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch.cluster import Shape, wanted
from rtparse.batch.models import ModelFile, PlanFile, fitting, open_model, read_model, targets_here
from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.sidecar import Build, Sidecar, Target, this_os, write_plan

ADA = Target("tensorrt", "10.13.0", this_os(), "RTX 4090", "8.9")
HOPPER = replace(ADA, gpu="H100", compute_capability="9.0")


def plan_for(target: Target, onnx_sha256: str = "") -> PlanFile:
    file = ModelFile(f"{target.gpu}.plan", target.gpu.encode())
    build = Build("rtparse export --to model.plan")
    return PlanFile(file, Sidecar(ModelMetadata(), target, build, (), (), len(file.content), file.sha256, onnx_sha256))


@pytest.mark.parametrize(
    ("here", "chosen"),
    [
        ([ADA], "RTX 4090.plan"),
        ([HOPPER], "H100.plan"),
        # another GPU, another version, another system, none at all
        ([replace(ADA, gpu="T4", compute_capability="7.5")], None),
        ([replace(ADA, version="10.14.0")], None),
        ([replace(ADA, os="Windows AMD64")], None),
        ([], None),
    ],
)
def test_a_plan_goes_where_its_sidecar_fits(here: list[Target], chosen: str | None) -> None:
    plan = fitting([plan_for(ADA), plan_for(HOPPER)], here)
    assert (plan.file.name if plan else None) == chosen


def test_a_worker_that_no_plan_fits_runs_the_network(tiny_onnx: Path, tmp_path: Path) -> None:
    network = ModelFile(tiny_onnx.name, tiny_onnx.read_bytes())
    plan = plan_for(ADA, network.sha256)
    write_plan(tmp_path / "model.plan", plan.file.content, plan.sidecar)
    model = read_model(str(tiny_onnx), [tmp_path / "model.plan"], "onnxruntime")
    assert len(model.plans) == 1
    if not targets_here(model.plans):  # no GPU, as in most places where this runs
        for gpu in (True, False):
            with open_model(model, backend="onnxruntime", threads=1, gpu=gpu) as engine:
                assert engine.kind == "onnxruntime"


def test_plans_that_are_not_of_the_network_are_refused(tiny_onnx: Path, tmp_path: Path) -> None:
    other = plan_for(ADA, "0" * 64)
    write_plan(tmp_path / "other.plan", other.file.content, other.sidecar)
    (tmp_path / "bare.plan").write_bytes(b"plan")
    with pytest.raises(UsageError, match="another network"):
        read_model(str(tiny_onnx), [tmp_path / "other.plan"])
    with pytest.raises(UsageError, match="no sidecar"):
        read_model(str(tiny_onnx), [tmp_path / "bare.plan"])
    with pytest.raises(UsageError, match="--plan"):
        read_model(str(tmp_path / "bare.plan"))
    network = ModelFile(tiny_onnx.name, tiny_onnx.read_bytes())
    changed = plan_for(ADA, network.sha256)
    write_plan(tmp_path / "changed.plan", changed.file.content, changed.sidecar)
    (tmp_path / "changed.plan").write_bytes(b"RTX 4091")
    with pytest.raises(EngineError, match="changed"):
        read_model(str(tiny_onnx), [tmp_path / "changed.plan"])


@pytest.mark.parametrize(
    ("nodes", "gpus", "most", "expected"),
    [
        ([{"CPU": 8.0}], 0, None, [Shape(2)] * 4),
        # a GPU in halves, and CPUs that are left
        ([{"CPU": 8.0, "GPU": 1.0}], 0.5, None, [Shape(2, 0.5)] * 2 + [Shape(2)] * 2),
        # three tenths fit three times
        ([{"CPU": 8.0, "GPU": 1.0}], 0.3, None, [Shape(2, 0.3)] * 3 + [Shape(2)]),
        # more GPUs than CPUs to feed them
        ([{"CPU": 2.0, "GPU": 4.0}, {"CPU": 5.0}], 1, None, [Shape(2, 1), Shape(2), Shape(2)]),
        ([{"CPU": 8.0, "GPU": 1.0}], 1, 2, [Shape(2, 1), Shape(2)]),
        # of a cluster that is to grow
        ([{}], 1, 2, [Shape(2, 1)] * 2),
        ([{"CPU": 1.0}], 0, None, []),
    ],
)
def test_workers_are_those_that_nodes_have_room_for(
    nodes: list[dict[str, float]], gpus: float, most: int | None, expected: list[Shape]
) -> None:
    assert wanted(nodes, 2, gpus, most) == expected
