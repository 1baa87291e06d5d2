"""Where the outputs go: a folder, or any file system that fsspec knows. Files have their final name only when whole."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped, unused-ignore]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped, unused-ignore]

from rtparse.batch.names import shown, shown_message
from rtparse.errors import RtparseError, SinkError, UsageError
from rtparse.sinks.partial import write_errors

WORK = ".rtparse"
"""The folder for what is not finished; gone at the end of a run that finished everything."""
STAGING = f"{WORK}/staging"
PARTS = f"{WORK}/parts"
"""Of long videos, until they are joined."""
_WHOLE_BY_PUT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""File systems where a file appears when its last byte has arrived; elsewhere it is renamed when it is whole."""


class Store:
    """A folder under a URI. Pickles, so that every worker can hold it; thread-safe.

    Errors of the file system become SinkError, in one line.
    """

    def __init__(self, uri: str) -> None:
        """Raises UsageError for a URI of an unknown kind, whose package is not installed, or that is only read."""
        self.uri = shown(uri)
        self._fs, self._root = open_filesystem(uri)
        self.local = isinstance(self._fs, LocalFileSystem)
        protocol = self._fs.protocol
        kinds = {protocol} if isinstance(protocol, str) else {*protocol}
        if kinds & {"http", "https"}:
            raise UsageError(f"got --out {self.uri}, where nothing can be written", "give a path, s3:// or gs://")
        self._whole_by_put = not _WHOLE_BY_PUT.isdisjoint(kinds)

    def prepare(self) -> None:
        """Make the folder and try that it can be written. Raises SinkError."""
        probe = f"{WORK}/probe-{secrets.token_hex(4)}"
        self.write(probe, b"")
        with self._errors(probe):
            self._fs.rm_file(self._path(probe))
        self.tidy()

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A local folder for unfinished files; on the same disk as the store's, where that is local."""
        beside = Path(self._root, STAGING) if self.local else None
        with write_errors(beside or Path(tempfile.gettempdir())):
            if beside:
                beside.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=beside, prefix="rtparse-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, file: Path, name: str) -> None:
        """Move a finished file of a staging folder to `name`, over one that is there.

        On a disk its content is there before its name, also when the power goes.
        """
        with self._errors(name):
            if self.local:
                with file.open("rb") as content:
                    os.fsync(content.fileno())
                target = Path(self._path(name))
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
            elif self._whole_by_put:
                self._fs.put_file(str(file), self._path(name))
            else:
                part = f"{self._path(name)}.{secrets.token_hex(4)}.part"
                self._fs.makedirs(part.rpartition("/")[0], exist_ok=True)
                self._fs.put_file(str(file), part)
                self._fs.mv(part, self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file in one step."""
        with self.staging() as folder:
            with write_errors(Path(name)):
                (folder / "file").write_bytes(content)
            self.put(folder / "file", name)

    def read(self, name: str) -> bytes | None:
        """The content of a small file, None where there is none."""
        with self._errors(name):
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file; None where there is no such file, or no object in it."""
        content = self.read(name)
        with suppress(ValueError):
            fields = json.loads(content or b"null")
            return fields if isinstance(fields, dict) else None
        return None

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A file as a local one."""
        if self.local:
            yield Path(self._path(name))
            return
        with tempfile.TemporaryDirectory(prefix="rtparse-") as folder:
            path = Path(folder, Path(name).name)
            with self._errors(name):
                self._fs.get_file(self._path(name), str(path))
            yield path

    def names(self, folder: str = "") -> list[str]:
        """The names of the files and folders in a folder, sorted; none where there is no such folder."""
        with self._errors(folder):
            try:
                self._fs.invalidate_cache()
                found = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with what it holds; nothing happens where there is none."""
        with self._errors(name), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            self._fs.rm(self._path(name), recursive=True)

    def tidy(self) -> None:
        """Remove the folders for what is not finished, where nothing is in them."""
        for folder in (STAGING, PARTS, WORK) if self.local else ():
            with suppress(OSError):
                Path(self._path(folder)).rmdir()

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """The file systems raise what their libraries raise, which share only Exception."""
        try:
            with write_errors(Path(self.uri, name) if self.local else Path(name)):
                yield
        except RtparseError:
            raise
        except Exception as error:
            raise SinkError(f"{self.uri}/{name} cannot be written or read ({brief(error)})") from None


def open_filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a path or URI, and the path in it; of a local one absolute, and plain where `..` is.

    Raises UsageError.
    """
    if not uri.strip():
        raise UsageError("got an empty name", "expected a path or a URL")
    if "://" not in uri:
        path = os.path.abspath(uri)  # noqa: PTH100 - Path.absolute keeps `..`
        if ".." in Path(uri).parts and os.path.realpath(path) != os.path.realpath(uri):  # above a link to a folder
            path = str(Path(uri).absolute())
        return LocalFileSystem(), path
    if "::" in uri:
        raise UsageError(f"got {shown(uri)}, one file system within another", "unpack the archive, or mount it")
    try:
        filesystem, path = fsspec.url_to_fs(uri)
    except ImportError as error:
        raise UsageError(
            f"{shown(uri)} needs a package that is not installed ({error})", "install it on every node"
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{shown(uri)} is in no file system that can be opened ({brief(error)})", "try s3://, gs:// or a path"
        ) from None
    return filesystem, str(path)


def brief(error: Exception) -> str:
    """An error of another library in one line."""
    lines = str(error).strip().splitlines()
    return shown_message(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
