"""Many videos on many machines: `rtparse batch`, on a Ray cluster (extra `cluster`).

inputs find the videos, plan cuts long ones, workers parse and write, join puts the parts together, the manifest
remembers. `run` holds them together; Ray places the workers and tells which of them died.
"""

from __future__ import annotations

import importlib

from rtparse.errors import MissingDependencyError


def require() -> None:
    """Raise MissingDependencyError unless the packages of the extra `cluster` are installed."""
    for package in ("fsspec", "pyarrow", "ray"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingDependencyError(package, "cluster", "on every node") from None
