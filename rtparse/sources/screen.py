"""What a screen shows, through FFmpeg's capture devices."""

from __future__ import annotations

import os
import sys

import av

from rtparse.errors import UsageError
from rtparse.sources.network import NetworkSource

USUAL_FPS = 30


def open_screen(
    device: str = "", *, size: tuple[int, int] | None = None, fps: float | None = None, read_timeout: float = 5.0
) -> NetworkSource:
    """The screen of this machine: X11 on Linux, GDI on Windows, AVFoundation on macOS.

    device: by FFmpeg's name, such as ":0.0+100,200" (the screen and the corner where the picture begins), "desktop" or
        "Capture screen 0:none"; "" takes the usual one.
    size: (width, height) in pixels, all of the screen when left out. fps: USUAL_FPS when left out.
    Raises UsageError where there is no display or FFmpeg has no such device, SourceError where it cannot be opened.
    """
    input_format, usual = _device()
    if input_format not in av.formats_available:
        raise UsageError(f"this FFmpeg cannot capture screens ({input_format})", "use PyAV's wheels")
    if not (device or usual):
        raise UsageError("no DISPLAY is set", "expected screen:DISPLAY, such as screen::0, in an X11 session")
    options = {"framerate": f"{fps or USUAL_FPS:g}"}
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    device = device or usual
    return NetworkSource(f"screen {device}", device, options, format=input_format, read_timeout=read_timeout)


def _device() -> tuple[str, str]:
    """FFmpeg's input format and the usual device."""
    if sys.platform == "win32":
        return "gdigrab", "desktop"
    if sys.platform == "darwin":
        return "avfoundation", "Capture screen 0:none"
    return "x11grab", os.environ.get("DISPLAY", "")
