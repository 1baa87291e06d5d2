"""A model repository for the Triton Inference Server: a folder that the server loads as it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtparse.errors import EngineError, UsageError
from rtparse.sidecar import Tensor

QUEUE_DELAY_US = 2000
"""How long a request may wait for others to share its batch: far less than the time between two frames."""

_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16"}


@dataclass(frozen=True)
class Served:
    """A model file and what Triton has to know of it.

    tensors: input and output, -1 where a side is free. batch: fewest, usual, most; (1, 1, 1) for a fixed batch of 1.
    profiles: how many optimization profiles a plan has, 0 for ONNX.
    """

    file: Path
    classes: Sequence[str]
    tensors: tuple[Tensor, Tensor]
    batch: tuple[int, int, int]
    profiles: int = 0


def write_repository(folder: Path, served: Served, replace: bool = False) -> Path:
    """Lay out `folder/NAME/{config.pbtxt, labels.txt, 1/model.plan or model.onnx}`, NAME the file's stem; its path.

    The folder may hold other models. Raises UsageError for a model that is there already, unless `replace`, EngineError
    where it cannot be written; then nothing is left under that name.
    """
    name = served.file.stem
    target = keep_served(folder, served.file, replace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as work:
            made = Path(work) / name
            (made / "1").mkdir(parents=True)
            shutil.copyfile(served.file, made / "1" / f"model{'.plan' if served.profiles else '.onnx'}")
            (made / "labels.txt").write_text("".join(f"{label}\n" for label in served.classes))
            (made / "config.pbtxt").write_text(config(name, served))
            if target.exists():
                target.rename(Path(work) / "old")
            made.rename(target)
    except OSError as error:
        raise EngineError(f"{target} cannot be written ({error.strerror})", "choose another folder") from None
    return target


def keep_served(folder: Path, file: Path, replace: bool) -> Path:
    """Where a repository has the model of a file. Raises UsageError where one is that may not be replaced."""
    target = folder / file.stem
    if target.exists() and not replace:
        raise UsageError(f"{target} exists", "choose another folder, or -y to replace it")
    return target


def config(name: str, served: Served) -> str:
    """The text of config.pbtxt.

    A free batch lets Triton put requests together (`dynamic_batching`); a fixed one is part of the tensors' shapes.
    Two instances let copies of one hide behind the work of the other.
    """
    most = served.batch[2]
    batched = served.tensors[0].shape[0] == -1
    lines = [
        f'name: "{name}"',
        'platform: "tensorrt_plan"' if served.profiles else 'backend: "onnxruntime"',
        f"max_batch_size: {most if batched else 0}",
    ]
    for field, tensor in zip(("input", "output"), served.tensors, strict=True):
        dims = ", ".join(map(str, tensor.shape[1:] if batched else tensor.shape))
        labels = ['    label_filename: "labels.txt"'] if field == "output" else []
        lines += [
            f"{field} [",
            "  {",
            f'    name: "{tensor.name}"',
            f"    data_type: {_TYPES[tensor.dtype]}",
            f"    dims: [ {dims} ]",
            *labels,
            "  }",
            "]",
        ]
    if batched and most > 1:
        preferred = ", ".join(str(size) for size in sorted({served.batch[1], most}) if size > 1)
        lines += [
            "dynamic_batching {",
            f"  preferred_batch_size: [ {preferred} ]",
            f"  max_queue_delay_microseconds: {QUEUE_DELAY_US}",
            "}",
        ]
    chosen = ", ".join(f'"{index}"' for index in range(served.profiles))
    kind = ["    kind: KIND_GPU", f"    profile: [ {chosen} ]"] if served.profiles else []
    lines += ["instance_group [", "  {", "    count: 2", *kind, "  }", "]"]
    return "\n".join(lines) + "\n"
