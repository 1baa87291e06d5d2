"""A TensorRT plan as a file: read once, compared with its sidecar and this machine, then given to its library."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rtparse.closing import Closing
from rtparse.device import Device
from rtparse.device.driver import forked
from rtparse.engines.flavours import Flavour, error_logger, flavour_named, installed_flavour
from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.sidecar import Sidecar, Target, read_sidecar, sidecar_path, this_os

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class Plan:
    """What was compared is what is loaded: the bytes are read once.

    library: the flavour's module. sidecar: None where there is none; then the documented defaults hold.
    """

    path: Path
    content: bytes
    flavour: Flavour
    library: ModuleType
    sidecar: Sidecar | None

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Needs no GPU.

        Raises UsageError for a missing file, MissingDependencyError without its library, EngineError for a plan that
        was changed or that was built by another library or for another system.
        """
        path = Path(path)
        if not path.is_file():
            raise UsageError(f"no file {path}", "give a TensorRT plan")
        sidecar = read_sidecar(path)
        if sidecar is None:
            _log.warning("%s has no sidecar %s: the defaults are assumed", path, sidecar_path(path).name)
        flavour = flavour_named(sidecar.target.flavour) if sidecar else installed_flavour()
        plan = cls(path, path.read_bytes(), flavour, flavour.load(), sidecar)
        if sidecar:
            sidecar.check_plan(plan.content)
            sidecar.check_target(plan._here())
        return plan

    @property
    def metadata(self) -> ModelMetadata:
        return self.sidecar.metadata if self.sidecar else ModelMetadata()

    @property
    def rebuild(self) -> str:
        """What to tell a user whose plan does not fit."""
        return self.sidecar.rebuild if self.sidecar else "build the plan on this machine: rtparse export"

    def deserialize(self, device: Device) -> Loaded:
        """Give the plan to its library.

        This runs what is in the plan. Raises EngineError for a plan that was built for another kind of GPU, or that the
        library refuses.
        """
        if self.sidecar:
            major, minor = device.compute_capability
            self.sidecar.check_target(self._here(device.name, f"{major}.{minor}"))
        logger = error_logger(self.library)
        with device.current():
            try:
                runtime = self.library.Runtime(logger)
                engine = runtime.deserialize_cuda_engine(self.content)
            except (TypeError, RuntimeError) as error:  # a constructor that returned nothing
                raise self._refused(logger.last or str(error)) from None
        if engine is None:
            raise self._refused(logger.last)
        return Loaded(self, device, runtime, engine, logger)

    def _here(self, gpu: str = "", compute_capability: str = "") -> Target:
        return Target(self.flavour.name, str(self.library.__version__), this_os(), gpu, compute_capability)

    def _refused(self, reason: str) -> EngineError:
        return EngineError(
            f"{self.flavour.name} cannot load {self.path} ({reason or 'it did not say why'})", self.rebuild
        )


class Loaded(Closing):
    """What the library made of a plan. logger.last: the last error that it told."""

    def __init__(self, plan: Plan, device: Device, runtime: Any, engine: Any, logger: Any) -> None:
        self.plan = plan
        self.engine = engine
        self.logger = logger
        self._device = device
        self._runtime = runtime

    def close(self) -> None:
        """Free the engine, then the runtime; its execution contexts have been freed. Nothing is in a forked process."""
        if self.engine is not None and not forked():
            with self._device.current():
                self.engine = None
                self._runtime = None


def describe_layers(path: str | Path) -> Iterator[str]:
    """What the engine of a plan is made of, a line for each layer. Loads the plan; raises as `Plan` does."""
    plan = Plan.read(path)
    with Device() as device, plan.deserialize(device) as loaded:
        inspector = loaded.engine.create_engine_inspector()
        for index in range(loaded.engine.num_layers):
            yield inspector.get_layer_information(index, plan.library.LayerInformationFormat.ONELINE).strip()
        del inspector  # before its engine
