"""The sidecar of a plan: what it holds, and what it refuses before anything of the plan is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.sidecar import Build, Profile, Sidecar, Target, Tensor, read_sidecar, sidecar_path, write_plan

PLAN = bytes(range(256)) * 8
TARGET = Target("tensorrt", "10.13.3.9", "Linux x86_64", "RTX 4090", "8.9", "580.65")


@pytest.fixture
def sidecar() -> Sidecar:
    return Sidecar(
        metadata=ModelMetadata(name="tiny", size_hw=(64, 48), precision="fp16"),
        target=TARGET,
        build=Build("rtparse export --model m.onnx --to m.plan", ("conv1",), True, 1.5, 1.75, (1, 2), ""),
        profiles=(Profile((64, 48), (1, 1, 2)),),
        tensors=(Tensor("image", "float16", (-1, 3, 64, 48)), Tensor("logits", "float16", (-1, 20, 32, 24))),
        plan_bytes=len(PLAN),
        plan_sha256=hashlib.sha256(PLAN).hexdigest(),
        onnx_sha256="ab" * 32,
    )


def test_it_is_read_as_it_was_written(sidecar: Sidecar, tmp_path: Path) -> None:
    plan = tmp_path / "m.plan"
    write_plan(plan, PLAN, sidecar)
    assert plan.read_bytes() == PLAN
    assert read_sidecar(plan) == sidecar
    assert {path.name for path in tmp_path.iterdir()} == {"m.plan", "m.plan.json"}
    fields = json.loads(sidecar_path(plan).read_text())
    assert fields["format"] == 1
    assert fields["model"]["classes"][13] == "face"
    assert fields["plan"]["sha256"] == hashlib.sha256(PLAN).hexdigest()


def test_a_plan_without_one(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "m.plan") is None


def test_nothing_is_left_where_the_plan_cannot_be_written(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "m.plan").mkdir()
    with pytest.raises(EngineError, match=r"m\.plan cannot be written"):
        write_plan(tmp_path / "m.plan", PLAN, sidecar)
    assert [path.name for path in tmp_path.iterdir()] == ["m.plan"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (PLAN[:-1], r"cut short: it has 2047 bytes, its sidecar says 2048"),
        (PLAN + b"{}", r"another file: it has 2050 bytes"),  # JSON glued to the plan
        (PLAN[:-1] + b"x", r"was changed: its SHA-256 is"),
    ],
)
def test_another_plan_is_refused(sidecar: Sidecar, plan: bytes, message: str) -> None:
    sidecar.check_plan(PLAN)
    with pytest.raises(EngineError, match=message) as refused:
        sidecar.check_plan(plan)
    assert "rtparse export --model m.onnx --to m.plan" in str(refused.value)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        (replace(TARGET, version="10.14.1.48"), r"built by tensorrt 10\.13\.3\.9, this is 10\.14\.1\.48"),
        (replace(TARGET, os="Windows AMD64"), r"built on Linux x86_64, this is Windows AMD64"),
        (
            replace(TARGET, gpu="H200", compute_capability="9.0"),
            r"capability 8\.9 \(RTX 4090\), this GPU has 9\.0 \(H200\)",
        ),
        (replace(TARGET, flavour="tensorrt-rtx"), r"built by tensorrt, this is tensorrt-rtx"),
    ],
)
def test_another_machine_is_refused(sidecar: Sidecar, here: Target, message: str) -> None:
    sidecar.check_target(TARGET)
    with pytest.raises(EngineError, match=message) as refused:
        sidecar.check_target(here)
    assert "rtparse export --model m.onnx --to m.plan" in str(refused.value)


def test_rtx_plans_run_on_other_gpus_and_systems_but_not_in_other_releases(sidecar: Sidecar) -> None:
    built = Target("tensorrt-rtx", "1.7.1.116", "Linux x86_64")
    portable = replace(sidecar, target=built)
    portable.check_target(replace(built, os="Windows AMD64", gpu="RTX 5090", compute_capability="12.0"))
    with pytest.raises(EngineError, match=r"1\.7\.1\.116, this is 1\.6\.1\.120"):
        portable.check_target(replace(built, version="1.6.1.120"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.pop("onnx"), r"has no field 'onnx'"),
        (lambda fields: fields["target"].pop("version"), r"has no field 'version'"),
        (lambda fields: fields["plan"].update(bytes="many"), r"cannot be read \(invalid literal"),
        (lambda fields: fields.update(format=2), r"has format 2, this rtparse reads up to 1; update rtparse"),
        (lambda fields: fields["model"].update(mean="[1"), r"metadata cannot be read"),
        (lambda fields: fields.update(profiles=[3]), r"cannot be read"),
    ],
)
def test_a_damaged_one_is_refused_by_name(sidecar: Sidecar, tmp_path: Path, change, message: str) -> None:
    fields = json.loads(sidecar.to_json())
    change(fields)
    sidecar_path(tmp_path / "m.plan").write_text(json.dumps(fields))
    with pytest.raises(EngineError, match=message) as refused:
        read_sidecar(tmp_path / "m.plan")
    assert "m.plan.json" in str(refused.value)


def test_no_json(tmp_path: Path) -> None:
    sidecar_path(tmp_path / "m.plan").write_bytes(b"\xff\xfe")
    with pytest.raises(EngineError, match=r"m\.plan\.json cannot be read"):
        read_sidecar(tmp_path / "m.plan")


def test_an_unknown_flavour(sidecar: Sidecar) -> None:
    odd = replace(TARGET, flavour="tensorrt-lite")
    with pytest.raises(UsageError, match="no flavour 'tensorrt-lite'"):
        replace(sidecar, target=odd).check_target(odd)
