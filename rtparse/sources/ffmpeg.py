"""The boundary to FFmpeg (PyAV) for reading: opening a container, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.container import InputContainer

from rtparse.errors import SourceError

NETWORK_TIMEOUT = 10.0
"""Seconds without a byte after which a network source counts as dead."""


@contextmanager
def ffmpeg_errors(name: str) -> Iterator[None]:
    """FFmpeg's errors become SourceError."""
    try:
        yield
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise SourceError(
            f"{name} cannot be read as a video ({error.strerror})",
            "expected a whole video file, such as MP4, MOV, MKV or WebM",
        ) from None
    except av.error.FFmpegError as error:
        raise SourceError(f"{name} cannot be read ({reason(error)})") from None


def reason(error: av.error.FFmpegError) -> str:
    """One phrase for what went wrong. FFmpeg tells a timeout by the name of its interrupt callback."""
    if isinstance(error, av.error.ExitError):
        return f"no answer for {NETWORK_TIMEOUT:g} s"
    return error.strerror or type(error).__name__


def open_input(location: str, name: str) -> InputContainer:
    """Open a file path or URL for reading. Raises SourceError; the caller closes the container."""
    network = "://" in location
    with ffmpeg_errors(name):
        return av.open(
            location,
            "r",
            metadata_errors="ignore",
            timeout=(NETWORK_TIMEOUT, NETWORK_TIMEOUT) if network else None,
        )


def without_password(url: str) -> str:
    """The URL as messages may show it."""
    return re.sub(r"^([^:/?#]+://)[^/?#]*@", r"\1", url)
