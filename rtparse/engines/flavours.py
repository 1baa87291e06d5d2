"""The two TensorRTs: one API, and this table of what differs between them."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from rtparse.errors import EngineError, MissingDependencyError, UsageError

_log = logging.getLogger("rtparse")


@dataclass(frozen=True)
class Flavour:
    """A library that builds and runs plans.

    name: as `--flavour` and the sidecar say it. module: to import. oldest: version whose API is used.
    plugins: whether a network may hold quickly deployable plugins, so the fused upsample-concat.
    timing_cache: whether the builder times kernels, and so can remember what it found.
    portable: whether a plan runs on other operating systems and GPUs than its builder's, and is built without a GPU.
    """

    name: str
    module: str
    extra: str
    oldest: tuple[int, int]
    plugins: bool
    timing_cache: bool
    portable: bool

    @property
    def installed(self) -> bool:
        """Whether the module is there; it is not imported."""
        return importlib.util.find_spec(self.module) is not None

    def load(self) -> ModuleType:
        """The module. Raises MissingDependencyError without it, EngineError for one that is too old or broken."""
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError:
            raise MissingDependencyError(self.module, self.extra) from None
        except (ImportError, OSError, RuntimeError) as error:  # it loads its libraries on import
            raise EngineError(f"{self.module} cannot be loaded ({error})", "install it again") from None
        version = str(module.__version__)
        if _numbers(version) < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise EngineError(f"{self.module} is {version}", f'run: pip install "{self.module}>={oldest}"')
        return module


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour("tensorrt", "tensorrt", "tensorrt", (10, 13), plugins=True, timing_cache=True, portable=False),
        # Its portable engines hold no native kernels of one GPU: they are compiled when they are first run.
        Flavour(
            "tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx", (1, 2), plugins=False, timing_cache=False, portable=True
        ),
    )
}


def flavour_named(name: str) -> Flavour:
    """A row of the table. Raises UsageError for a name that is not in it."""
    if name not in FLAVOURS:
        raise UsageError(f"there is no flavour {name!r} of TensorRT", f"choose from: {', '.join(FLAVOURS)}")
    return FLAVOURS[name]


def installed_flavour() -> Flavour:
    """The first of the table that is installed. Raises MissingDependencyError where none is."""
    for flavour in FLAVOURS.values():
        if flavour.installed:
            return flavour
    raise MissingDependencyError("tensorrt", "tensorrt")


def error_logger(trt: ModuleType) -> Any:
    """A logger for the library `trt`; it has to outlive what logs to it. last: the last error that it told, or ""."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            line = message.strip().partition("\n")[0]
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.last = line
            elif severity == trt.ILogger.WARNING:
                _log.debug("%s: %s", trt.__name__, line)

    return Logger()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
