"""The view of every parsing as a camera that other programs see, through pyvirtualcam."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import MissingDependencyError, SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.encoder import letterboxed

_USUAL_FPS = Fraction(30)
_NEEDS = {
    "linux": "load the module first: sudo modprobe v4l2loopback (Debian: apt-get install v4l2loopback-dkms)",
    "darwin": "install OBS 30 or newer and start its virtual camera once",
    "win32": "install OBS, which brings a virtual camera",
}


class VirtualCameraSink:
    """Shows what `view` draws, (H, W, 3) uint8 BGR, as it comes, on the first virtual camera that is free.

    fps: what the camera says of itself. It has the size of the first picture; others are letterboxed to it. Raises
    MissingDependencyError without pyvirtualcam; `write` raises SinkError where there is no virtual camera.
    """

    def __init__(self, view: Callable[[Parsing], NDArray[np.uint8]], fps: Fraction | None = None) -> None:
        try:
            import pyvirtualcam  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise MissingDependencyError("pyvirtualcam", "live") from None
        self._library = pyvirtualcam
        self._view = view
        self._fps = fps or _USUAL_FPS
        self._camera: Any = None

    def write(self, parsing: Parsing) -> None:
        picture = self._view(parsing)
        camera = self._camera or self._open(picture)
        camera.send(np.ascontiguousarray(letterboxed(picture, (camera.width, camera.height))))

    def finish(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _open(self, picture: NDArray[np.uint8]) -> Any:
        height, width = picture.shape[:2]
        try:
            bgr = self._library.PixelFormat.BGR
            self._camera = self._library.Camera(width, height, float(self._fps), fmt=bgr)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            hint = _NEEDS.get(sys.platform, "leave --virtual-camera away")
            raise SinkError(f"there is no virtual camera of {width}x{height} ({reason})", hint) from None
        return self._camera
