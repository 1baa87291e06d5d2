"""The one door to OpenCV: `from rtparse._cv import cv2`.

OpenCV's wheel links against libraries of the system (libGL, glib); without them its import fails with a name that
helps nobody, so the failure becomes one RtparseError that names the packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtparse.errors import RtparseError

try:
    import cv2 as cv2
except ModuleNotFoundError as _error:
    raise RtparseError("OpenCV is not installed", "run: pip install opencv-python") from _error
except ImportError as _error:
    raise RtparseError(
        f"OpenCV cannot be loaded ({_error})", "on Debian and Ubuntu run: apt-get install libgl1 libglib2.0-0"
    ) from _error


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's log off the terminal; what matters of it is in our errors. The level is the process's: be brief."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
