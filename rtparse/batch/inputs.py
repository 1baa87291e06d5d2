"""Which videos: files, folders, patterns, lists, columns of tables; on disk or on any file system of fsspec."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.http import HTTPFileSystem  # type: ignore[import-untyped, unused-ignore]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped, unused-ignore]

from rtparse.batch.job import Video
from rtparse.batch.names import folder_name, shown
from rtparse.batch.store import brief, open_filesystem
from rtparse.errors import RtparseError, SourceError, UsageError

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf"}
    | {".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""What is taken from folders; a file that is named is taken whatever it is called."""
LIST_SUFFIXES = (".txt", ".lst")
TABLE_SUFFIXES = (".parquet", ".csv")

_CHANGING = ("ETag", "etag", "md5Hash", "mtime", "LastModified")
_PATTERN = re.compile(r"[*?\[]")
_HTTP_PATTERN = re.compile(r"^[^?]*\*")
"""After a question mark comes a query."""
_NOT_FOUND = 404


def find_videos(inputs: Iterable[str], column: str = "path") -> list[Video]:
    """The videos that the inputs name, each once, in the order given; those of a folder or pattern sorted.

    inputs: a video; a folder, of which all videos below it; a pattern with *, ? or **; a .txt or .lst file with a line
        for each video, where # begins a comment; a .parquet or .csv file whose `column` names them. In a list or table
        a relative name counts from its folder. What it names is not looked up, but for the time of a local file: a
        video that is missing fails by itself, and one behind a URL is not known to have changed.

    Raises UsageError for what does not exist or names no video, SourceError for what cannot be read.
    """
    found: dict[str, Video] = {}
    for given in inputs:
        named = 0
        for uri, version in _expand(given, column):
            named += 1
            video = Video(uri, folder_name(uri), version)
            found.setdefault(video.name, video)
        if not named:
            raise UsageError(f"there is no video in {shown(given)}", "expected names like a.mp4, b.mkv")
    return list(found.values())


class Fetcher:
    """Brings videos to this machine; one process' own. The last one that came over a network is kept until the next.

    So the parts of one long video that the same worker gets are fetched once.
    """

    def __init__(self) -> None:
        self._kept: tuple[str, tempfile.TemporaryDirectory[str], Path] | None = None

    def fetch(self, uri: str) -> Path:
        """A local path of the video, valid until the next call. Raises SourceError."""
        filesystem, path = _filesystem(uri)
        if isinstance(filesystem, LocalFileSystem):
            if not Path(path).is_file():
                raise SourceError(f"there is no file {shown(path)}", "check the path, on this worker's machine")
            return Path(path)
        if self._kept and self._kept[0] == uri:
            return self._kept[2]
        self.close()
        folder = tempfile.TemporaryDirectory(prefix="rtparse-")
        local = Path(folder.name, f"video{Path(path).suffix[:10]}")
        try:
            with _read_errors(uri):
                filesystem.get_file(path, str(local))
        except BaseException:
            folder.cleanup()
            raise
        self._kept = (uri, folder, local)
        return local

    def close(self) -> None:
        """Remove what was kept."""
        if self._kept:
            self._kept[1].cleanup()
            self._kept = None


@contextmanager
def opened(uri: str) -> Iterator[Path | BinaryIO]:
    """A video for a look at its packets: a local path, or a file that reads over the network what it is asked for."""
    filesystem, path = _filesystem(uri)
    if isinstance(filesystem, LocalFileSystem):
        yield Path(path)
        return
    with _read_errors(uri), filesystem.open(path, "rb") as file:
        yield file


def _expand(given: str, column: str) -> Iterator[tuple[str, str]]:
    """URIs, and their versions where those are to be had without asking for each."""
    filesystem, path = open_filesystem(given)
    suffix = posixpath.splitext(path)[1].lower()
    if _is_pattern(filesystem, path):
        with _read_errors(given):
            matches = filesystem.glob(path, detail=True)
        yield from _files(filesystem, matches, any_suffix=True)
        return
    if suffix in LIST_SUFFIXES or suffix in TABLE_SUFFIXES:
        with _found(given):
            content = filesystem.cat_file(path)
        with _read_errors(given):
            names = _lines(content) if suffix in LIST_SUFFIXES else _column(content, suffix, column, given)
        for name in names:
            yield _named(name, _uri(filesystem, posixpath.dirname(path)))
        return
    with _found(given):
        about = filesystem.info(path)
    if about["type"] != "directory":
        yield _uri(filesystem, about["name"]), _version(about)
        return
    with _read_errors(given):
        below = filesystem.find(path, detail=True)
    yield from _files(filesystem, below, any_suffix=False)


def _is_pattern(filesystem: Any, path: str) -> bool:
    if isinstance(filesystem, HTTPFileSystem):
        return bool(_HTTP_PATTERN.search(path))
    # A file may be called clip[1].mp4.
    return bool(_PATTERN.search(path)) and not filesystem.exists(path)


def _files(filesystem: Any, found: dict[str, dict[str, Any]], *, any_suffix: bool) -> Iterator[tuple[str, str]]:
    for name, about in sorted(found.items()):
        if about["type"] == "directory" or posixpath.basename(name).startswith("."):
            continue
        if any_suffix or posixpath.splitext(name)[1].lower() in VIDEO_SUFFIXES:
            yield _uri(filesystem, name), _version(about)


def _named(name: str, base: str) -> tuple[str, str]:
    """What a list or table in the folder `base` names."""
    if "://" not in name and not name.startswith("/"):
        name = f"{base.rstrip('/')}/{name}"
    if name.startswith("file://") or "://" not in name:
        name = open_filesystem(name)[1]
        return name, _local_version(name)
    return name, ""


def _uri(filesystem: Any, name: str) -> str:
    return str(name) if isinstance(filesystem, LocalFileSystem) else str(filesystem.unstrip_protocol(name))


def _version(about: dict[str, Any]) -> str:
    """Of what a file system tells of a file: its length, and what changes when it is written."""
    if "ino" in about and "mtime" in about:  # the local one, whose time is a float
        return _local_version(about["name"])
    changed = next((about[name] for name in _CHANGING if about.get(name)), "")
    return f"{about.get('size') or ''}-{changed}".strip('-"')


def _local_version(path: str) -> str:
    try:
        about = os.stat(path)  # noqa: PTH116 - a million times
    except OSError:
        return ""
    return f"{about.st_size}-{about.st_mtime_ns}"


def _lines(content: bytes) -> list[str]:
    lines = (line.strip() for line in content.decode("utf-8-sig", "surrogateescape").split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _column(content: bytes, suffix: str, column: str, given: str) -> list[str]:
    if suffix == ".csv":
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline=""))
        columns = list(reader.fieldnames or [])
        values = [row[column] for row in reader] if column in columns else []
    else:
        import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

        table = pq.read_table(io.BytesIO(content))
        columns = table.column_names
        values = table.column(column).to_pylist() if column in columns else []
    if column not in columns:
        raise UsageError(f"{shown(given)} has no column {column!r}", f"choose with --column: {', '.join(columns)}")
    if other := next((value for value in values if value and not isinstance(value, str)), None):
        raise UsageError(
            f"column {column!r} of {shown(given)} holds {type(other).__name__}", "expected text: paths or URLs"
        )
    return [value for value in values if value]


def _filesystem(uri: str) -> tuple[Any, str]:
    """For a worker: what cannot be opened is the video's failure, not a wrong use."""
    try:
        return open_filesystem(uri)
    except UsageError as error:
        raise SourceError(error.message, error.hint) from None


@contextmanager
def _found(given: str) -> Iterator[None]:
    """For the driver: what is not there is a wrong use."""
    with _read_errors(given):
        try:
            yield
        except FileNotFoundError as error:
            why = error.__cause__  # HTTP's says this of whatever went wrong
            if isinstance(why, Exception) and getattr(why, "status", None) != _NOT_FOUND:
                raise why from None
            raise UsageError(f"there is no file or folder {shown(given)}", "check the path") from None


@contextmanager
def _read_errors(uri: str) -> Iterator[None]:
    """The file systems raise what their libraries raise, which share only Exception."""
    try:
        yield
    except RtparseError:
        raise
    except Exception as error:
        raise SourceError(f"{shown(uri)} cannot be read ({brief(error)})") from None
