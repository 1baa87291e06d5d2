"""The wheel holds what the repository holds, and the repository's folders never land beside `rtparse`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def test_every_package_folder_is_listed(setuptools_table: dict[str, object]) -> None:
    found = set()
    for top, name in (("rtparse", "rtparse"), ("train", "rtparse.train"), ("exporters", "rtparse.exporters")):
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / top).parts
            found.add(".".join([name, *parts]))
    assert set(setuptools_table["packages"]) == found  # type: ignore[call-overload]


def test_mapped_folders_exist(setuptools_table: dict[str, object]) -> None:
    mapping: dict[str, str] = setuptools_table["package-dir"]  # type: ignore[assignment]
    assert all((ROOT / folder / "__init__.py").is_file() for folder in mapping.values())


def test_base_install_has_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not any(name in requirement for requirement in project["dependencies"] for name in ("torch", "tensorrt"))
