"""Models by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from rtparse.errors import EngineError, UsageError
from rtparse.models import BUILTINS, list_models, register, register_path, resolve, unregister


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "rtparse" / "models.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"weights")
    return path


def test_a_registered_name_leads_to_its_file(model: Path, config: Path) -> None:
    register("mine", model)
    assert resolve("mine") == model
    assert register_path() == config
    (found,) = (m for m in list_models() if not m.builtin)
    assert (found.name, found.path) == ("mine", model)
    assert found.sha256 == hashlib.sha256(b"weights").hexdigest()
    unregister("mine")
    with pytest.raises(UsageError, match="no model file or name 'mine'"):
        resolve("mine")


def test_a_relative_path_is_registered_for_good(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    register("mine", "mine.onnx")
    monkeypatch.chdir("/")
    assert resolve("mine") == model


def test_a_path_is_itself(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(model) == model
    monkeypatch.chdir(model.parent)
    assert resolve("mine.onnx") == Path("mine.onnx")


def test_a_name_wins_over_a_file_called_the_same(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = model.with_name("mine")
    other.write_bytes(b"other")
    monkeypatch.chdir(model.parent)
    register("mine", model)
    assert resolve("mine") == model
    assert resolve("./mine") == Path("mine")


def test_a_file_that_changed_is_not_used(model: Path) -> None:
    register("mine", model)
    model.write_bytes(b"other weights")
    with pytest.raises(EngineError, match=r"mine\.onnx has changed since it was registered"):
        resolve("mine")


def test_a_file_that_is_gone_is_named(model: Path) -> None:
    register("mine", model)
    model.unlink()
    with pytest.raises(EngineError, match=r"is gone: .*mine\.onnx"):
        resolve("mine")


@pytest.mark.parametrize("name", ["", "a/b", "a.onnx", "../x", "-x", "a b", *BUILTINS])
def test_a_name_that_could_be_something_else_is_refused(model: Path, name: str) -> None:
    with pytest.raises(UsageError):
        register(name, model)
    assert [m for m in list_models() if not m.builtin] == []


def test_a_name_is_not_taken_over(model: Path) -> None:
    register("mine", model)
    with pytest.raises(UsageError, match="already names"):
        register("mine", model)


def test_registering_a_missing_file_and_forgetting_an_unknown_name_are_wrong_use(model: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        register("mine", model.with_name("none.onnx"))
    with pytest.raises(UsageError, match="no model is registered as 'mine'"):
        unregister("mine")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),  # cut short
        ("[]", "cannot be read"),  # another document
        ('{"format": 1, "models": {"a": {}}}', "cannot be read"),  # fields missing
        (json.dumps({"format": 2, "models": {}}), "format 2"),  # of a later version
    ],
)
def test_a_register_that_cannot_be_read_is_named(config: Path, content: str, message: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(content)
    with pytest.raises(EngineError, match=message) as caught:
        resolve("mine")
    assert str(config) in str(caught.value)


def test_a_register_that_cannot_be_written_is_named(model: Path, config: Path) -> None:
    config.parent.parent.mkdir()
    config.parent.write_text("a file where the folder should be")
    with pytest.raises(EngineError, match="cannot be"):
        register("mine", model)


def test_nothing_is_left_beside_the_register(model: Path, config: Path) -> None:
    register("mine", model)
    assert [path.name for path in config.parent.iterdir()] == ["models.json"]


def test_built_in_models_are_there_by_name() -> None:
    builtin = [m for m in list_models() if m.builtin]
    assert tuple(m.name for m in builtin) == BUILTINS
    for found in builtin:
        assert resolve(found.name) == found.path
        assert hashlib.sha256(found.path.read_bytes()).hexdigest() == found.sha256
