"""The machine that builds a plan: its library, system and GPU."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rtparse.device import Device
from rtparse.engines.flavours import Flavour
from rtparse.errors import RtparseError
from rtparse.sidecar import Target, this_os


@dataclass(frozen=True)
class Machine:
    """target: as the sidecar records it. arch: of the GPU's code, "sm_89", "" without one.

    driver: what cuDriverGetVersion says, 13000 for CUDA 13.0. no_gpu: why there is none, "" where there is one.
    """

    target: Target
    arch: str = ""
    driver: int = 0
    no_gpu: str = ""


def this_machine(flavour: Flavour) -> Machine:
    """What there is. Raises MissingDependencyError and EngineError as `Flavour.load` does."""
    version = str(flavour.load().__version__)
    try:
        with Device() as device:
            driver, name = device.driver, device.name
            major, minor = device.compute_capability
    except RtparseError as error:
        return Machine(Target(flavour.name, version, this_os()), no_gpu=error.message)
    cuda = f"CUDA {driver // 1000}.{driver % 1000 // 10}"
    return Machine(
        Target(flavour.name, version, this_os(), name, f"{major}.{minor}", cuda), f"sm_{major}{minor}", driver
    )


def timing_cache_path(target: Target) -> Path:
    """Where the kernels are remembered that were measured with this library, GPU and driver."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtparse" / "timing"
    name = "-".join((target.flavour, target.version, target.gpu, target.driver))
    return folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.cache"
