"""The one door to OpenCV: `from rtparse._cv import cv2`.

OpenCV's wheel links against libraries of the system (libGL, glib); without them its import fails with a name that
helps nobody, so the failure becomes one RtparseError that names the packages.
"""

from __future__ import annotations

from rtparse.errors import RtparseError

try:
    import cv2 as cv2
except ModuleNotFoundError as _error:
    raise RtparseError("OpenCV is not installed", "run: pip install opencv-python") from _error
except ImportError as _error:
    raise RtparseError(
        f"OpenCV cannot be loaded ({_error})", "on Debian and Ubuntu run: apt-get install libgl1 libglib2.0-0"
    ) from _error
