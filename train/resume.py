"""The file that continues a run, on a CPU bit for bit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import torch

from rtparse.errors import RtparseError, SinkError, UsageError
from rtparse.sinks.partial import PartialFile, write_errors

RESUME = "resume.pt"
FORMAT = 1

Record = Mapping[str, object]
"""What a run was started with, by the name of the option."""


class State(TypedDict):
    """Everything a run needs to go on, after `step` steps; tensors on any device. scaler: of fp16, else empty."""

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    ema: dict[str, Any]
    scaler: dict[str, Any]


def make_run_folder(folder: Path) -> None:
    """Make the folder of a run, if it is not there, and see that files can be made in it. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        PartialFile(folder / RESUME).discard()
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror})", "choose another folder") from None
    except SinkError as error:
        raise UsageError(error.message, error.hint) from None


@contextmanager
def run_folder(folder: Path) -> Iterator[None]:
    """The folder of a run, made if it is not there, for this process alone. Raises UsageError."""
    make_run_folder(folder)
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process trains in {folder}", "end it, or choose another folder") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def save_state(folder: Path, state: State, record: Record) -> None:
    """Write `folder`/resume.pt: under that name there is always a whole file, however the process ends."""
    content = {"format": FORMAT, "state": state, "record": {name: str(value) for name, value in record.items()}}
    write_whole(folder / RESUME, lambda file: torch.save(content, file))


def load_state(folder: Path, record: Record) -> State | None:
    """What was saved, on the CPU; None for a folder without a run.

    Raises UsageError when the run was started with other options than `record`, RtparseError for a damaged file.
    """
    path = folder / RESUME
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, state, recorded = content["format"], content["state"], dict(content["record"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RtparseError(f"{path} cannot be read ({reason})", "train into another folder") from None
    if version != FORMAT:
        raise RtparseError(f"{path} has format {version}, this rtparse reads {FORMAT}", "train into another folder")
    _check_record(path.parent, recorded, {name: str(value) for name, value in record.items()})
    found: State = state
    return found


def _check_record(folder: Path, recorded: dict[str, str], given: dict[str, str]) -> None:
    differences = [
        f"{name} {given.get(name, 'nothing')} (it was {recorded.get(name, 'nothing')})"
        for name in sorted(recorded.keys() | given.keys())
        if recorded.get(name) != given.get(name)
    ]
    if differences:
        raise UsageError(
            f"{folder} holds a run that was started with other options; now it got {', '.join(differences)}",
            "give the options it was started with, or another --out",
        )


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have `write` fill a file beside `path`, bring it to the disk, then rename it.

    SinkError when that fails; nothing is left beside it then.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with write_errors(path), beside.open("wb") as file:
            _filled(file, write)
            file.flush()
            os.fsync(file.fileno())
        with write_errors(path):
            beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _filled(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    try:
        write(file)
    except RuntimeError as error:  # what torch makes of an error of the operating system
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
