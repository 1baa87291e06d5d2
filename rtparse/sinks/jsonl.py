"""Numbers for other programs: one line of JSON a frame."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from rtparse.parsing import Parsing, Rle
from rtparse.sinks.partial import PartialFile, write_errors


class _Region(TypedDict, total=False):
    share: float
    box: list[int]
    rle: Rle


class JsonlSink:
    """Writes a line a frame, as UTF-8:

        {"index": 7, "pts": 0.7, "width": 768, "height": 432, "classes": {"face": {"share": 0.01, "box": [x, y, w, h]}}}

    pts is in seconds, share is of the frame's pixels (0..1, six decimals), box in pixels; only classes in view are
    listed, the background is not. With `rle` each class has its mask in COCO's compressed form under "rle".

    live: for readers that follow along, each line is in the file under its own name when `write` returns, and whatever
        ends the process leaves whole lines. A file that is there is replaced at once.
    """

    def __init__(self, path: Path, *, rle: bool = False, live: bool = False) -> None:
        self._rle = rle
        self._path = path
        self._file = None if live else PartialFile(path)
        with write_errors(path):
            self._lines = (self._file.part if self._file else path).open(
                "w", buffering=1 if live else -1, encoding="utf-8", newline="\n"
            )

    def write(self, parsing: Parsing) -> None:
        shares = parsing.share()
        classes: dict[str, _Region] = {}
        for name, box in parsing.boxes().items():
            classes[name] = {"share": round(shares[name], 6), "box": list(box)}
            if self._rle:
                classes[name]["rle"] = parsing.rle(name)
        height, width = parsing.frame.size_hw
        line = {
            "index": parsing.frame.index,
            "pts": round(parsing.frame.pts, 6),
            "width": width,
            "height": height,
            "classes": classes,
        }
        with write_errors(self._path):
            self._lines.write(json.dumps(line) + "\n")

    def finish(self) -> None:
        try:
            with write_errors(self._path):
                self._lines.close()
        except BaseException:
            self._discard()
            raise
        if self._file:
            self._file.commit()

    def abort(self) -> None:
        # Closing writes what is buffered, and fails again on a full disk.
        with suppress(OSError):
            self._lines.close()
        self._discard()

    def _discard(self) -> None:
        if self._file:
            self._file.discard()
