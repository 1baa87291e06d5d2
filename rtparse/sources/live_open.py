"""From what a user writes to a live source."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rtparse.errors import UsageError
from rtparse.sources.base import Source
from rtparse.sources.live import LiveOptions, LiveSource


def open_live(spec: int | str | Path, options: LiveOptions = LiveOptions()) -> LiveSource:  # noqa: B008 - frozen
    """A live source that is connected, and kept connected, once it is iterated; the caller closes it.

    spec: a camera's number or path (/dev/video0); a URL (rtsp, rtmp, http, https, udp, srt, ...); "screen" or
        "screen:DEVICE" (see `open_screen`); "stdin:1280x720:bgr24", raw frames (see `RawFormat`); a GStreamer pipeline,
        which is known by its "!".

    Raises UsageError at once for what cannot be meant. What cannot be reached is tried again and again, see LiveSource.
    """
    text = str(spec)
    if text.startswith("stdin:"):
        return LiveSource("stdin", _stdin(text.removeprefix("stdin:")), options, reopen=False)
    return LiveSource(*_named(text, options), options)


def _named(text: str, options: LiveOptions) -> tuple[str, Callable[[], Source]]:
    if re.fullmatch(r"[0-9]+|/dev/.+", text):
        from rtparse.sources.camera import CameraSource

        device = int(text) if text.isdigit() else text
        asked = partial(CameraSource, device, size=options.size, fps=options.fps, mjpeg=options.mjpeg)
        return f"camera {text}", asked
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        from rtparse.sources.ffmpeg import without_password
        from rtparse.sources.network import open_network

        timeouts = {"open_timeout": options.open_timeout, "read_timeout": options.frame_timeout}
        return without_password(text), partial(open_network, text, options.transport, **timeouts)
    if re.match(r"screen(:|$)", text):
        from rtparse.sources.screen import open_screen

        device = text.partition(":")[2]
        return text, partial(
            open_screen, device, size=options.size, fps=options.fps, read_timeout=options.frame_timeout
        )
    if "!" in text:
        from rtparse.sources.camera import GstreamerSource, check_gstreamer

        check_gstreamer()
        return text, partial(GstreamerSource, text)
    raise UsageError(
        f"cannot watch {text!r}",
        "use rtparse video for files"
        if os.path.exists(text)  # noqa: PTH110 - Path.exists raises for a name that is too long for a file
        else "expected a camera's number, /dev/video0, a URL, screen, or a GStreamer pipeline",
    )


def _stdin(layout: str) -> Callable[[], Source]:
    from rtparse.sources.raw import RawFormat, RawSource

    return partial(RawSource, sys.stdin.buffer, RawFormat.of(layout))
