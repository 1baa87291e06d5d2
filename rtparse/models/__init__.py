"""Models by name: those inside the package, and files that the user registered with their SHA-256.

The register is `rtparse/models.json` in $XDG_CONFIG_HOME (~/.config where that is unset):
{"format": 1, "models": {name: {"path": ..., "sha256": ...}}}.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rtparse.errors import EngineError, UsageError

BUILTINS = ("small", "small-int8", "nano")
"""Names of the models inside the package; small.md and nano.md beside them are their cards."""

_FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A model file that has a name. sha256: of the file when it was registered, as 64 hexadecimal digits."""

    name: str
    path: Path
    sha256: str
    builtin: bool = False


def list_models() -> list[Model]:
    """The built-in models that the package carries, then the registered ones by name. Raises EngineError."""
    files = {name: _builtin_path(name) for name in BUILTINS}
    builtin = [Model(name, path, _sha256(path), builtin=True) for name, path in files.items() if path.is_file()]
    return builtin + [model for _, model in sorted(_read().items())]


def register(name: str, path: str | Path) -> Model:
    """Give a model file a name, so that `Parser(name)` finds it; the file stays where it is.

    Raises UsageError for a missing file or a name that is taken or could be a path, EngineError when the register
    cannot be read or written.
    """
    path = Path(path).absolute()
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name):
        raise UsageError(f"{name!r} cannot name a model", "use letters, digits, - and _")
    if not path.is_file():
        raise UsageError(f"no file {path}", "give a model file such as model.onnx")
    models = _read()
    if name in BUILTINS:
        raise UsageError(f"{name!r} is a built-in model", "choose another name")
    if name in models:
        raise UsageError(
            f"{name!r} already names {models[name].path}",
            f"choose another name, or forget it first: rtparse models remove {name}",
        )
    models[name] = Model(name, path, _sha256(path))
    _write(models)
    return models[name]


def unregister(name: str) -> None:
    """Forget a name; the file stays. Raises UsageError for a name that is not registered, EngineError."""
    models = _read()
    if name not in models:
        raise UsageError(f"no model is registered as {name!r}", _names(models))
    del models[name]
    _write(models)


def resolve(model: str | Path) -> Path:
    """The file of a model: of a registered or a built-in name, or the path itself.

    A name wins over a file in the working folder that is called the same (write ./name for the file). Raises UsageError
    for what is neither, EngineError when a registered file has changed or the package carries no model.
    """
    if isinstance(model, str) and model in BUILTINS:
        path = _builtin_path(model)
        if not path.is_file():
            raise EngineError(
                f"this installation of rtparse does not carry {model}", "name a model file, such as model.onnx"
            )
        return path
    # Only a plain word can be a name, and only then is the register read.
    models = _read() if isinstance(model, str) and Path(model).name == model and "." not in model else {}
    if isinstance(model, str) and model in models:
        return _verified(models[model])
    path = Path(model)
    if not path.is_file():
        raise UsageError(f"no model file or name {str(model)!r}", _names(models))
    return path


def register_path() -> Path:
    """Where names are kept; the file need not exist."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rtparse" / "models.json"


def _builtin_path(name: str) -> Path:
    return Path(str(importlib.resources.files("rtparse.models") / f"{name}.onnx"))


def _verified(model: Model) -> Path:
    if not model.path.is_file():
        raise EngineError(
            f"the file of model {model.name!r} is gone: {model.path}", "restore it, or unregister the name"
        )
    if (found := _sha256(model.path)) != model.sha256:
        raise EngineError(
            f"{model.path} has changed since it was registered as {model.name!r}: its SHA-256 is {found[:12]}..., "
            f"expected {model.sha256[:12]}...",
            "if the change is yours, unregister and register it again",
        )
    return model.path


def _names(models: dict[str, Model]) -> str:
    return f"names known: {', '.join([*BUILTINS, *sorted(models)])}"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror})") from error


def _read() -> dict[str, Model]:
    path = register_path()
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["format"] > _FORMAT:
            raise EngineError(f"{path} has format {document['format']}, this rtparse reads {_FORMAT}", "update rtparse")
        return {
            name: Model(name, Path(entry["path"]), str(entry["sha256"])) for name, entry in document["models"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"the register of models {path} cannot be read ({type(error).__name__}: {error})", "repair or delete it"
        ) from error


def _write(models: dict[str, Model]) -> None:
    """Replace the register in one step: readers see the old one or the new one, whole."""
    path = register_path()
    entries = {model.name: {"path": str(model.path), "sha256": model.sha256} for model in models.values()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as beside:
            try:
                json.dump({"format": _FORMAT, "models": entries}, beside, indent=2)
                beside.close()
                Path(beside.name).replace(path)
            except BaseException:
                Path(beside.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise EngineError(f"the register of models {path} cannot be written ({error.strerror})") from error
