"""The tests in on_gpu/ run on a GPU where there is one, elsewhere on the stand-in driver by `test_on_standin.py`."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

ON_GPU = Path(__file__).parent / "on_gpu"


def _on_standin() -> bool:
    return "RTPARSE_STANDIN" in os.environ


def _has_gpu() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return driver.cuInit(0) == 0


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """On the stand-in it runs them in a process of its own, which this is not."""
    if ON_GPU in (collection_path, *collection_path.parents) and not _on_standin() and not _has_gpu():
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ON_GPU in item.path.parents and not _on_standin():
            item.add_marker(pytest.mark.gpu)
