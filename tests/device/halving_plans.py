"""Plans of halving.py's network for the stand-in for TensorRT."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from halving import logits_of

from rtparse.engines.fake import FakeEngine
from rtparse.engines.flavours import Flavour
from rtparse.metadata import ModelMetadata
from rtparse.sidecar import Build, Profile, Sidecar, Target, this_os, write_plan

FLAVOUR = Flavour("standin", "standin_tensorrt", "tensorrt", (10, 13), True, True, False)

PROFILES = {(64, 96): (1, 2, 4), (64, 64): (2, 2, 2)}
"""Sizes, and fewest, usual and most pictures."""


def write_halving_plan(path: Path, built: Target | None = None, **fields: Any) -> Path:
    """A plan and its sidecar. fields: of the plan, such as dtype; content: in its place."""
    profiles = [[(count, 3, *size) for count in batch] for size, batch in PROFILES.items()]
    content = json.dumps({"dtype": "float32", "profiles": profiles, **fields}).encode()
    if "content" in fields:
        content = fields["content"].encode()
    sidecar = Sidecar(
        metadata=ModelMetadata(name="halves", size_hw=(64, 96)),
        target=built or Target("standin", "11.0.0", this_os(), "stand-in", "8.9"),
        build=Build("rtparse export --to model.plan"),
        profiles=tuple(Profile(size, batch) for size, batch in PROFILES.items()),
        tensors=(),
        plan_bytes=len(content),
        plan_sha256=hashlib.sha256(content).hexdigest(),
        onnx_sha256="",
    )
    write_plan(path, content, sidecar)
    return path


def on_cpu() -> FakeEngine:
    """The same network on the CPU."""
    return FakeEngine(logits_of, metadata=ModelMetadata(size_hw=(64, 96)), sizes=((64, 96),))
