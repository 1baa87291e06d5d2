"""The list of classes in view, drawn into a corner of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

LEAST_SHARE = 0.005
"""Share of all pixels of people that brings a class into the legend."""

HOLD_SECONDS = 1.0
"""How long a class stays listed after it was last in view, so that the legend does not flicker."""

LINES = 26
"""Lines of text that the shorter side of the picture would hold."""

LEAST_LINE = 12
"""Pixels of a line, below which letters are no longer legible."""

SHADE = 0.35
"""How much of the picture shows through the panel."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Legend:
    """A dark translucent panel in the top left corner: a colour and a name for each class, ordered by id.

    Remembers when each class was last in view, so one legend belongs to one stream. Not thread-safe.
    """

    def __init__(self) -> None:
        self._last_seen: dict[int, float] = {}
        self._panel: Panel | None = None

    def draw(self, picture: NDArray[np.uint8], parsing: Parsing, labels: NDArray[np.uint8]) -> None:
        """Draw over `picture` (H, W, 3) uint8 BGR the classes of `labels`, any part of the parsing's labels."""
        panel = self.panel((picture.shape[0], picture.shape[1]), parsing, labels)
        if panel is None:
            return
        place = picture[: panel.text.shape[0], : panel.text.shape[1]]
        shaded = cv2.max(cv2.convertScaleAbs(place, alpha=SHADE), panel.text)
        place[:] = cv2.copyTo(panel.text, panel.swatches, np.asarray(shaded))

    def panel(self, size_hw: tuple[int, int], parsing: Parsing, labels: NDArray[np.uint8]) -> Panel | None:
        """What `draw` draws over a picture of that size; None for nothing. The same object while nothing changes."""
        ids = self._listed(labels, len(parsing.classes), parsing.frame.pts)
        if not ids:
            return None
        key = (ids, size_hw, parsing.classes, parsing.palette_rgb.tobytes())
        if self._panel is None or self._panel.key != key:
            self._panel = _panel(parsing, ids, size_hw, key)
        return self._panel

    def _listed(self, labels: NDArray[np.uint8], classes: int, pts: float) -> tuple[int, ...]:
        if labels.size:
            counts = cv2.calcHist([labels], [0], None, [classes], [0, classes]).ravel()
            counts[0] = 0
            for i in np.flatnonzero(counts >= max(1.0, LEAST_SHARE * counts.sum())):
                self._last_seen[int(i)] = pts
        # A timestamp in the future is left over from before a jump back.
        self._last_seen = {i: seen for i, seen in self._last_seen.items() if 0 <= pts - seen <= HOLD_SECONDS}
        return tuple(sorted(self._last_seen))


@dataclass(frozen=True, eq=False)
class Panel:
    """The upper left corner: the picture, SHADE times as bright, or `text` where that is brighter or a colour.

    text: (h, w, 3) uint8 BGR on black, letters and colours. swatches: (h, w) uint8, 255 where the colours are.
    """

    key: tuple[object, ...]
    text: NDArray[np.uint8]
    swatches: NDArray[np.uint8]


def _panel(parsing: Parsing, ids: tuple[int, ...], size_hw: tuple[int, int], key: tuple[object, ...]) -> Panel:
    height, width = size_hw
    line = max(LEAST_LINE, round(min(size_hw) / LINES))
    thickness = max(1, round(line / 16))
    scale = cv2.getFontScaleFromHeight(_FONT, max(7, round(line * 0.52)), thickness)
    pad = max(2, line // 4)
    # As wide as the longest name of all, so that the panel keeps its width while classes come and go.
    text_width = max(cv2.getTextSize(name, _FONT, scale, thickness)[0][0] for name in parsing.classes[1:])
    cell = line + text_width + 2 * pad
    # One column where it takes a third of the width at most; on a small picture a strip over its upper third.
    columns, rows = (1, (height - 2 * pad) // line) if cell * 3 <= width else (width // cell, height // 3 // line)
    columns, rows = max(1, columns), max(1, rows)
    entries = [(parsing.classes[i], parsing.palette_rgb[i, ::-1].tolist()) for i in ids]
    if len(entries) > rows * columns:
        left_out = len(entries) - rows * columns + 1
        entries = [*entries[: rows * columns - 1], (f"+ {left_out} more", [0, 0, 0])]
    rows = min(rows, len(entries))
    columns = -(-len(entries) // rows)
    text = np.zeros((rows * line + 2 * pad, columns * cell + pad, 3), np.uint8)
    swatches = np.zeros(text.shape[:2], np.uint8)
    for number, (name, colour) in enumerate(entries):
        column, row = divmod(number, rows)
        x, y = pad + column * cell, pad + row * line
        corners = (x, y + line // 6), (x + line * 2 // 3, y + line * 5 // 6)
        if any(colour):
            cv2.rectangle(text, *corners, colour, cv2.FILLED)
            cv2.rectangle(swatches, *corners, 255, cv2.FILLED)
        baseline = y + round(line * 0.75)
        cv2.putText(text, name, (x + line, baseline), _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    text, swatches = text[:height, :width], swatches[:height, :width]
    return Panel(key, text, swatches)
