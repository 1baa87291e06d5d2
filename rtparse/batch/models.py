"""The network of a batch: read once by the driver, sent through Ray, opened by each worker as suits its machine."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rtparse.device import Device
from rtparse.engines import Engine, default_model, open_engine
from rtparse.engines.base import FrameEngine
from rtparse.engines.flavours import flavour_named
from rtparse.errors import EngineError, RtparseError, UsageError
from rtparse.models import resolve
from rtparse.sidecar import Sidecar, Target, read_sidecar, sidecar_path, this_os

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class ModelFile:
    """A file by its name and content."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class PlanFile:
    """A TensorRT plan of the same network, with what its sidecar says."""

    file: ModelFile
    sidecar: Sidecar


@dataclass(frozen=True)
class Model:
    """network: an .onnx or .safetensors file, which every worker can run. plans: for those whose GPU they fit."""

    network: ModelFile
    plans: tuple[PlanFile, ...] = ()


def read_model(engine: str | None, plans: Sequence[Path] = (), backend: str | None = None) -> Model:
    """Read the files, and try the network here.

    Raises UsageError for a file that is missing, a plan in place of a network, or a plan without sidecar or of another
    network; EngineError for a network that cannot be run; MissingDependencyError.
    """
    path = resolve(default_model(backend) if engine is None else engine)
    if path.suffix.lower() in (".plan", ".engine"):
        raise UsageError(
            f"{path} fits one kind of GPU only", f"give the network with --engine, and this with --plan {path}"
        )
    open_engine(path, backend, threads=1).close()
    network = ModelFile(path.name, path.read_bytes())
    return Model(network, tuple(_read_plan(plan, network) for plan in plans))


def _read_plan(path: Path, network: ModelFile) -> PlanFile:
    if not path.is_file():
        raise UsageError(f"no file {path}", "give a TensorRT plan")
    sidecar = read_sidecar(path)
    if sidecar is None:
        raise UsageError(f"{path} has no sidecar {sidecar_path(path).name}", "it says which GPUs the plan fits")
    if sidecar.onnx_sha256 != network.sha256:
        raise UsageError(
            f"{path} was built from another network than {network.name}: its sidecar says "
            f"{sidecar.onnx_sha256[:12]}..., expected {network.sha256[:12]}...",
            f"give the .onnx that it was built from, or {sidecar.rebuild}",
        )
    file = ModelFile(path.name, path.read_bytes())
    sidecar.check_plan(file.content)
    return PlanFile(file, sidecar)


def fitting(plans: Iterable[PlanFile], here: Iterable[Target]) -> PlanFile | None:
    """The first plan whose sidecar fits one of the libraries and the GPU that there are; None: run the network."""
    targets = list(here)
    for plan in plans:
        for target in targets:
            try:
                plan.sidecar.check_target(target)
            except EngineError as error:
                _log.info("%s is not used: %s", plan.file.name, error.message)
            else:
                return plan
    return None


def targets_here(plans: Iterable[PlanFile]) -> list[Target]:
    """What there is to run these plans: the GPU, with each of their libraries that is installed."""
    found = []
    for name in sorted({plan.sidecar.target.flavour for plan in plans}):
        try:
            flavour = flavour_named(name)
            version = str(flavour.load().__version__)
            with Device() as device:
                major, minor = device.compute_capability
                found.append(Target(flavour.name, version, this_os(), device.name, f"{major}.{minor}"))
        except RtparseError as error:
            _log.info("no plan of %s is used: %s", name, error)
    return found


def open_model(model: Model, *, backend: str | None, threads: int, gpu: bool) -> Engine:
    """The engine for this worker; the caller closes it. Raises as `open_engine`.

    gpu: whether one was reserved for it. Only then a plan is looked for.
    """
    plan = fitting(model.plans, targets_here(model.plans)) if gpu and model.plans else None
    with tempfile.TemporaryDirectory(prefix="rtparse-") as folder:
        # What is opened holds the content, so the file may go.
        path = Path(folder, plan.file.name if plan else model.network.name)
        if plan:
            path.write_bytes(plan.file.content)
            sidecar_path(path).write_text(plan.sidecar.to_json(), encoding="utf-8")
            return open_engine(path)
        path.write_bytes(model.network.content)
        engine = open_engine(path, backend, threads=threads)
        return engine if isinstance(engine, FrameEngine) else _OneAtATime(engine)


class _OneAtATime(Engine):
    """An engine whose runs wait for each other: a stream keeps two under way, which would take twice the CPUs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = Lock()
        self.kind, self.path, self.metadata = engine.kind, engine.path, engine.metadata
        self.sizes, self.batch = engine.sizes, engine.batch

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._turn:
            return self._engine.infer(batch)

    def close(self) -> None:
        self._engine.close()
