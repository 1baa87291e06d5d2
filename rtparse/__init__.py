"""rtparse parses people in video in real time: every pixel of every frame gets one of 20 classes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "CLASSES",
    "EngineError",
    "Frame",
    "MissingDependencyError",
    "Parser",
    "Parsing",
    "RtparseError",
    "SinkError",
    "SourceError",
    "UsageError",
]

if TYPE_CHECKING:
    from rtparse.classes import CLASSES
    from rtparse.errors import EngineError, MissingDependencyError, RtparseError, SinkError, SourceError, UsageError
    from rtparse.frame import Frame
    from rtparse.parser import Parser
    from rtparse.parsing import Parsing

_HOME = {
    "CLASSES": "rtparse.classes",
    "EngineError": "rtparse.errors",
    "Frame": "rtparse.frame",
    "MissingDependencyError": "rtparse.errors",
    "Parser": "rtparse.parser",
    "Parsing": "rtparse.parsing",
    "RtparseError": "rtparse.errors",
    "SinkError": "rtparse.errors",
    "SourceError": "rtparse.errors",
    "UsageError": "rtparse.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import rtparse` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'rtparse' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
