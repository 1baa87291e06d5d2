"""The view of every parsing in a window."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.base import WindowClosed

_ESCAPE = 27
_TRIAL = "import cv2; cv2.namedWindow('rtparse'); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_SECONDS = 30


class WindowSink:
    """Shows what `view` draws, (H, W, 3) uint8 BGR, as it comes; (H, W, 4) BGRA on black. `write` raises WindowClosed
    when the user is done: after q, Escape, or the window's own button.

    All calls must come from the thread that made it. Raises SinkError where no window can be opened.
    """

    def __init__(self, title: str, view: Callable[[Parsing], NDArray[np.uint8]]) -> None:
        self._title = title
        self._view = view
        _require_display(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "")
        # The toolkit inside OpenCV's wheel warns of fonts that it was shipped without.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise SinkError(f"no window can be opened ({error.err})", "leave --show away") from None
        self._shown = False

    def write(self, parsing: Parsing) -> None:
        picture = self._view(parsing)
        if self._shown and not self._visible():
            raise WindowClosed
        if not self._shown:
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            self._shown = True
        if picture.shape[2] == 4:
            picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2mRGBA)[:, :, :3], np.uint8)
        cv2.imshow(self._title, picture)
        self.attend()

    def attend(self) -> None:
        """Let the window answer its user. Raises WindowClosed as `write` does."""
        key = cv2.waitKey(1) & 0xFF
        if key in (_ESCAPE, ord("q")) or (self._shown and not self._visible()):
            raise WindowClosed

    def finish(self) -> None:
        self.abort()

    def abort(self) -> None:
        try:
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)  # the window goes when its events are handled
        except cv2.error:
            return  # the user has closed it

    def _visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            return False  # it was the last window of the process


class WindowsSink:
    """A window for each of several sources, by `parsing.frame.source`; else as WindowSink."""

    def __init__(self, titles: Sequence[str], views: Sequence[Callable[[Parsing], NDArray[np.uint8]]]) -> None:
        self._windows = [WindowSink(*each) for each in zip(titles, views, strict=True)]

    def write(self, parsing: Parsing) -> None:
        self._windows[parsing.frame.source].write(parsing)

    def attend(self) -> None:
        for window in self._windows:
            window.attend()

    def finish(self) -> None:
        self.abort()

    def abort(self) -> None:
        for window in self._windows:
            window.abort()


@cache
def _require_display(display: str) -> None:
    """Raise SinkError unless a window can be opened.

    OpenCV's toolkit ends the whole process where it finds no display, so the first try is made in another one.
    """
    if sys.platform.startswith("linux") and not display:
        raise SinkError("there is no display to show a window on (DISPLAY is not set)", "leave --show away")
    try:
        trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        trial = None
    if trial is None or trial.returncode != 0:
        where = f"the display {display}" if display else "this machine"
        raise SinkError(f"no window can be opened on {where}", "leave --show away")
