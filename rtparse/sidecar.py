"""What lies beside a TensorRT plan: `model.plan.json`, written by the exporter, checked before the plan is loaded.

A plan is native code, and its library answers a plan that does not fit with a crash or a puzzle. So everything that can
be known of it is compared first: that it is the file that was built, and that it was built for this machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from rtparse.engines.flavours import flavour_named
from rtparse.errors import EngineError, RtparseError
from rtparse.metadata import FORMAT, ModelMetadata


@dataclass(frozen=True)
class Profile:
    """Inputs that a plan takes: one (height, width), and the fewest, usual and most pictures of a batch."""

    size_hw: tuple[int, int]
    batch: tuple[int, int, int]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan. dtype: "float16", "float32" or "bfloat16". shape: -1 where it is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """What a plan is built for, or what there is to run it.

    flavour: of `rtparse.engines.flavours`. version: of its library, in full. os: as `this_os` says it.
    gpu, compute_capability, driver: "RTX 4090", "8.9", "580.65"; "" without a GPU.
    """

    flavour: str
    version: str
    os: str
    gpu: str = ""
    compute_capability: str = ""
    driver: str = ""


@dataclass(frozen=True)
class Build:
    """How a plan was built.

    command: that builds it again. float32_layers: those kept in FP32. fused: whether it holds our upsample-concat.
    fused_ms, plain_ms: what the two forms took on the GPU, None where they were not compared.
    verified: batch sizes at which the plan gave ONNX Runtime's labels. unverified: why it was not compared, or "".
    """

    command: str
    float32_layers: tuple[str, ...] = ()
    fused: bool = False
    fused_ms: float | None = None
    plain_ms: float | None = None
    verified: tuple[int, ...] = ()
    unverified: str = ""


@dataclass(frozen=True)
class Sidecar:
    """All of it. plan_bytes: the plan's length. Hashes are SHA-256 in hexadecimal; onnx: of what it was built from."""

    metadata: ModelMetadata
    target: Target
    build: Build
    profiles: tuple[Profile, ...]
    tensors: tuple[Tensor, ...]
    plan_bytes: int
    plan_sha256: str
    onnx_sha256: str

    def to_json(self) -> str:
        """The text of the file."""
        fields = {
            "format": FORMAT,
            "model": self.metadata.to_json(),
            "target": dataclasses.asdict(self.target),
            "build": dataclasses.asdict(self.build),
            "profiles": [dataclasses.asdict(profile) for profile in self.profiles],
            "tensors": [dataclasses.asdict(tensor) for tensor in self.tensors],
            "plan": {"bytes": self.plan_bytes, "sha256": self.plan_sha256},
            "onnx": {"sha256": self.onnx_sha256},
        }
        return "{\n" + ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in fields.items()) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Sidecar:
        """Read the text of a file. Raises EngineError naming a field that is missing or cannot be read."""
        try:
            fields = json.loads(text)
            written = int(fields["format"])
            if written > FORMAT:
                raise EngineError(
                    f"the sidecar has format {written}, this rtparse reads up to {FORMAT}",
                    "update rtparse: pip install -U rtparse",
                )
            target, build = fields["target"], fields["build"]
            return cls(
                metadata=ModelMetadata.from_json(fields["model"]),
                target=Target(**{name: str(target[name]) for name in _names(Target)}),
                build=Build(
                    command=str(build["command"]),
                    float32_layers=tuple(map(str, build["float32_layers"])),
                    fused=bool(build["fused"]),
                    fused_ms=_milliseconds(build["fused_ms"]),
                    plain_ms=_milliseconds(build["plain_ms"]),
                    verified=tuple(map(int, build["verified"])),
                    unverified=str(build["unverified"]),
                ),
                profiles=tuple(_profile(profile) for profile in fields["profiles"]),
                tensors=tuple(
                    Tensor(str(tensor["name"]), str(tensor["dtype"]), tuple(map(int, tensor["shape"])))
                    for tensor in fields["tensors"]
                ),
                plan_bytes=int(fields["plan"]["bytes"]),
                plan_sha256=str(fields["plan"]["sha256"]),
                onnx_sha256=str(fields["onnx"]["sha256"]),
            )
        except KeyError as error:
            raise EngineError(f"the sidecar has no field {error}", _REBUILD) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise EngineError(f"the sidecar cannot be read ({error})", _REBUILD) from None

    @property
    def rebuild(self) -> str:
        """What to tell a user whose plan does not fit."""
        return f"build it again on this machine: {self.build.command}"

    def check_plan(self, plan: bytes) -> None:
        """Raise EngineError unless these bytes are the plan that the sidecar was written for."""
        if len(plan) != self.plan_bytes:
            cut = "cut short" if len(plan) < self.plan_bytes else "another file"
            raise EngineError(
                f"the plan is {cut}: it has {len(plan)} bytes, its sidecar says {self.plan_bytes}", self.rebuild
            )
        found = hashlib.sha256(plan).hexdigest()
        if found != self.plan_sha256:
            raise EngineError(
                f"the plan was changed: its SHA-256 is {found[:12]}..., its sidecar says {self.plan_sha256[:12]}...",
                self.rebuild,
            )

    def check_target(self, here: Target) -> None:
        """Raise EngineError unless a plan that was built for `self.target` runs on `here`, naming what differs."""
        built = self.target
        if built.flavour != here.flavour:
            raise EngineError(f"the plan was built by {built.flavour}, this is {here.flavour}", self.rebuild)
        if built.version != here.version:
            raise EngineError(
                f"the plan was built by {built.flavour} {built.version}, this is {here.version}", self.rebuild
            )
        if flavour_named(built.flavour).portable:
            return
        if built.os != here.os:
            raise EngineError(f"the plan was built on {built.os}, this is {here.os}", self.rebuild)
        if here.compute_capability and built.compute_capability != here.compute_capability:
            raise EngineError(
                f"the plan was built for compute capability {built.compute_capability} ({built.gpu}), this GPU has "
                f"{here.compute_capability} ({here.gpu})",
                self.rebuild,
            )


_REBUILD = "build the plan again: rtparse export"


def sidecar_path(plan: str | Path) -> Path:
    """Where the sidecar of a plan lies: its name with .json behind it."""
    return Path(f"{plan}.json")


def read_sidecar(plan: str | Path) -> Sidecar | None:
    """The sidecar of a plan, or None where there is none. Raises EngineError for one that cannot be read."""
    path = sidecar_path(plan)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} cannot be read ({error})", _REBUILD) from None
    try:
        return Sidecar.from_json(text)
    except RtparseError as error:
        raise EngineError(f"{path}: {error.message}", error.hint) from None


def write_plan(path: Path, plan: bytes, sidecar: Sidecar) -> None:
    """Write a plan and its sidecar, each whole or not at all. Raises EngineError where they cannot be written."""
    beside = [
        (path.with_name(f".{path.name}.part"), path, plan),
        (path.with_name(f".{path.name}.json.part"), sidecar_path(path), sidecar.to_json().encode()),
    ]
    try:
        for part, _, content in beside:
            part.write_bytes(content)
        # Between the two a new plan has an old sidecar: its hash says so.
        for part, final, _ in beside:
            part.replace(final)
    except OSError as error:
        raise EngineError(
            f"{path} cannot be written ({error.strerror})", "choose another folder or free space"
        ) from None
    finally:
        for part, _, _ in beside:
            part.unlink(missing_ok=True)


def this_os() -> str:
    """Operating system and processor, such as "Linux x86_64"."""
    return f"{platform.system()} {platform.machine()}"


def _names(kind: type[Target]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _milliseconds(value: object) -> float | None:
    return None if value is None else float(str(value))


def _profile(fields: dict[str, list[int]]) -> Profile:
    height, width = map(int, fields["size_hw"])
    fewest, usual, most = map(int, fields["batch"])
    return Profile((height, width), (fewest, usual, most))
