"""A file that is written beside its final name and gets the name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rtparse.errors import SinkError


class PartialFile:
    """An empty file `part` in the folder of `path`. Exactly one of `commit` and `discard` ends it.

    Raises SinkError at once where the folder is missing or not writable, or where `path` is no place for a file.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise SinkError(
                f"{path} is a folder, expected a file name", f"write to {path / 'output'}.mp4, for instance"
            )
        if path.exists() and not path.is_file():
            raise SinkError(f"{path} is not a regular file, so it cannot be replaced", "choose another name")
        self.path = path
        # The stem is cut: with its additions the name must stay below 255 bytes.
        self.part = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.part")
        with write_errors(path):
            self.part.touch(exist_ok=False)

    def commit(self) -> None:
        """Give the file its final name, over a file that has it already. Raises SinkError, and then discards."""
        try:
            with write_errors(self.path):
                self.part.replace(self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written. Never raises; does nothing after `commit`."""
        with suppress(OSError):
            self.part.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its name and rename it, over one of that name. Raises SinkError."""
    file = PartialFile(path)
    try:
        with write_errors(path):
            file.part.write_bytes(content)
        file.commit()
    finally:
        file.discard()


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Errors of the operating system (and of FFmpeg, which passes them on) while writing `path` become SinkError."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space, or write to another disk",
            errno.EDQUOT: "free some space, or write to another disk",
            errno.ENOENT: f"make the folder first: mkdir -p {path.parent}",
            errno.EACCES: "choose a folder that you may write to",
            errno.EROFS: "choose a folder that you may write to",
        }
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SinkError(f"{path} cannot be written ({reason})", hints.get(error.errno or 0, "")) from None
