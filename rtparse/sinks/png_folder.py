"""Pictures for other programs: one PNG a frame."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks.partial import write_errors


class PngFolderSink:
    """Writes what `view` draws of frame 7 as `folder`/000007.png: (H, W) uint8 grey, (H, W, 3) BGR or (H, W, 4) BGRA.

    The files are gathered in a hidden folder beside `folder` and moved when all are written; a file of the same name
    that was there before is then replaced, others stay.
    """

    def __init__(self, folder: Path, view: Callable[[Parsing], NDArray[np.uint8]]) -> None:
        if folder.exists() and not folder.is_dir():
            raise SinkError(f"{folder} is a file, expected a folder for a PNG a frame", "choose another name")
        self._folder = folder
        self._view = view
        self._part = folder.with_name(f".{folder.name[:60]}.{secrets.token_hex(4)}.part")
        with write_errors(folder):
            self._part.mkdir()

    def write(self, parsing: Parsing) -> None:
        done, data = cv2.imencode(".png", self._view(parsing))
        if not done:
            raise SinkError(f"the picture of frame {parsing.frame.index} cannot be encoded as PNG")
        with write_errors(self._folder):
            (self._part / f"{parsing.frame.index:06d}.png").write_bytes(data.tobytes())

    def finish(self) -> None:
        try:
            with write_errors(self._folder):
                self._folder.mkdir(exist_ok=True)
                for picture in sorted(self._part.iterdir()):
                    picture.replace(self._folder / picture.name)
        finally:
            self.abort()

    def abort(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
