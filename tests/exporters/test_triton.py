"""Model repositories, read by Triton's own schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtparse.classes import CLASSES
from rtparse.errors import UsageError
from rtparse.exporters.triton import Served, write_repository
from rtparse.sidecar import Tensor

text_format = pytest.importorskip("google.protobuf.text_format")
schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")


def tensors(batch: int, element: str = "float16") -> tuple[Tensor, Tensor]:
    return Tensor("image", element, (batch, 3, 64, 48)), Tensor("logits", element, (batch, 20, 32, 24))


def read(folder: Path):
    return text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "people.plan"
    path.write_bytes(b"a plan")
    return path


def test_a_plan_with_a_free_batch(plan: Path, tmp_path: Path) -> None:
    made = write_repository(tmp_path / "repository", Served(plan, CLASSES, tensors(-1), (1, 4, 16), profiles=2))
    assert sorted(str(path.relative_to(tmp_path / "repository")) for path in made.rglob("*")) == [
        "people/1",
        "people/1/model.plan",
        "people/config.pbtxt",
        "people/labels.txt",
    ]
    assert (made / "1/model.plan").read_bytes() == b"a plan"
    assert (made / "labels.txt").read_text().splitlines() == list(CLASSES)
    config = read(made)
    assert (config.name, config.platform, config.max_batch_size) == ("people", "tensorrt_plan", 16)
    assert list(config.input[0].dims) == [3, 64, 48]
    assert list(config.output[0].dims) == [20, 32, 24]
    assert config.input[0].data_type == schema.TYPE_FP16
    assert config.output[0].label_filename == "labels.txt"
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 16]
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.profile)) == (schema.ModelInstanceGroup.KIND_GPU, 2, ["0", "1"])


def test_a_fixed_batch_is_part_of_the_shape(plan: Path, tmp_path: Path) -> None:
    config = read(write_repository(tmp_path / "r", Served(plan, CLASSES, tensors(1), (1, 1, 1), profiles=1)))
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [1, 3, 64, 48]
    assert not config.HasField("dynamic_batching")


def test_an_onnx_file_runs_wherever_triton_puts_it(tmp_path: Path) -> None:
    file = tmp_path / "people.onnx"
    file.write_bytes(b"an onnx")
    free = tuple(Tensor(each.name, "float32", (-1, each.shape[1], -1, -1)) for each in tensors(1))
    made = write_repository(tmp_path / "r", Served(file, CLASSES, free, (1, 4, 8)))
    config = read(made)
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 8)
    assert config.input[0].data_type == schema.TYPE_FP32
    assert list(config.input[0].dims) == [3, -1, -1]
    assert (made / "1/model.onnx").read_bytes() == b"an onnx"


def test_a_model_that_is_there_is_kept(plan: Path, tmp_path: Path) -> None:
    served = Served(plan, CLASSES, tensors(1), (1, 1, 1), profiles=1)
    write_repository(tmp_path / "r", served)
    plan.write_bytes(b"another plan")
    with pytest.raises(UsageError, match="people exists; choose another folder, or -y"):
        write_repository(tmp_path / "r", served)
    assert (tmp_path / "r/people/1/model.plan").read_bytes() == b"a plan"
    write_repository(tmp_path / "r", served, replace=True)
    assert (tmp_path / "r/people/1/model.plan").read_bytes() == b"another plan"
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["people"]
