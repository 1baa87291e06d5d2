"""What `import rtparse` offers, and how fast."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import rtparse
import rtparse.effects


def test_the_public_names_are_sorted_and_listed() -> None:
    assert list(rtparse.__all__) == sorted(set(rtparse.__all__))
    assert set(rtparse.__all__) <= set(dir(rtparse))


@pytest.mark.parametrize("name", rtparse.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(rtparse, name)
    if inspect.isclass(value):
        assert value.__module__.startswith("rtparse")
        assert inspect.getdoc(value)
        for method, function in inspect.getmembers(value, inspect.isfunction):
            assert method.startswith("_") or function.__doc__, f"{name}.{method} has no docstring"


def test_the_effects_are_sorted_there_and_documented() -> None:
    assert list(rtparse.effects.__all__) == sorted(set(rtparse.effects.__all__))
    for name in rtparse.effects.__all__:
        value = getattr(rtparse.effects, name)
        assert name == "Effect" or (value.__module__.startswith("rtparse.effects") and inspect.getdoc(value))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        rtparse.nonsense  # noqa: B018


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_is_fast() -> None:
    measure = "import time; t = time.perf_counter(); import rtparse; print(time.perf_counter() - t)"
    assert min(float(run(measure)) for _ in range(3)) < 0.3


def test_the_runtime_imports_no_torch() -> None:
    heavy = "'torch', 'onnx', 'rich', 'click', 'PIL', 'matplotlib'"
    code = f"import sys; from rtparse import Parser, Parsing; print([m for m in ({heavy}) if m in sys.modules])"
    assert run(code) == "[]"
