"""Pictures of a parsing: the views that videos, windows and image files show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError
from rtparse.legend import Legend, Panel

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

VIEWS = ("overlay", "labels", "side-by-side")


@dataclass(frozen=True, eq=False)
class Drawing:
    """An overlay before it is drawn. alpha: weight of the colours. shown: (classes,) bool, None for all. panel: of the
    legend."""

    alpha: float
    shown: NDArray[np.bool_] | None
    panel: Panel | None


class Renderer:
    """Draws one view of each parsing of a stream, in order. Not thread-safe: use one for each stream.

    overlay         the frame with the classes coloured over it
    labels          the classes in their colours on black
    side-by-side    the frame, and the overlay to its right: twice as wide

    A legend lists the classes in view. What changes the frame itself is in `rtparse.effects`.
    """

    def __init__(
        self,
        view: str = "overlay",
        *,
        alpha: float = 0.5,
        classes: Iterable[str] | None = None,
        legend: bool = True,
    ) -> None:
        """alpha: weight of the colours in overlays; 0 shows the frame alone, 1 flat colours.

        classes: draw only these; None means all but the background.
        Raises UsageError for an unknown view or an alpha outside 0..1 here, for an unknown class at the first parsing.
        """
        if view not in VIEWS:
            raise UsageError(f"there is no view {view!r}", f"choose from: {', '.join(VIEWS)}")
        if not 0 <= alpha <= 1:
            raise UsageError(f"got alpha {alpha}", "expected a number from 0 (the frame alone) to 1 (flat colours)")
        self.view = view
        self._alpha = alpha
        self._classes = None if classes is None else tuple(classes)
        self._legend = Legend() if legend else None

    def __call__(self, parsing: Parsing) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, a new array of the caller's; (H, 2 W, 3) for side-by-side."""
        frame, labels = parsing.frame.image, self._shown(parsing)
        # Everything happens within the box of what is shown; the rest of the frame is copied and no more.
        x, y, w, h = cv2.boundingRect(labels)
        box = np.s_[y : y + h, x : x + w]
        if self.view == "labels":
            picture = canvas = np.zeros_like(frame)
        elif self.view == "overlay":
            picture = canvas = frame.copy()
        else:
            picture = np.concatenate([frame, frame], 1)
            canvas = picture[:, frame.shape[1] :]
        if w:
            self._draw(parsing, labels[box], frame[box], canvas[box])
        if self._legend is not None:
            self._legend.draw(canvas, parsing, labels[box])
        return picture

    def drawing(self, parsing: Parsing) -> Drawing | None:
        """What is drawn over the frame, for whoever draws it elsewhere than here; None for other views than overlays.

        It counts as drawn: the legend remembers what it shows.
        """
        if self.view != "overlay":
            return None
        shown = None
        if self._classes is not None:
            shown = np.zeros(len(parsing.classes), np.bool_)
            shown[list(parsing.ids(self._classes))] = True
        panel = None
        if self._legend is not None:
            panel = self._legend.panel(parsing.frame.size_hw, parsing, self._shown(parsing))
        return Drawing(self._alpha, shown, panel)

    def _shown(self, parsing: Parsing) -> NDArray[np.uint8]:
        if self._classes is None:
            return parsing.labels
        ids = parsing.ids(self._classes)
        kept = np.zeros(256, np.uint8)
        kept[list(ids)] = ids
        return np.asarray(cv2.LUT(parsing.labels, kept), np.uint8)

    def _draw(
        self, parsing: Parsing, labels: NDArray[np.uint8], frame: NDArray[np.uint8], canvas: NDArray[np.uint8]
    ) -> None:
        """Draw into `canvas` (h, w, 3), a part of the picture, where `labels` (h, w) are not the background."""
        palette = np.zeros((256, 1, 3), np.uint8)
        palette[1 : len(parsing.palette_rgb), 0] = parsing.palette_rgb[1:, ::-1]
        colours = cv2.applyColorMap(labels, palette)
        if self.view != "labels":
            colours = cv2.addWeighted(frame, 1 - self._alpha, colours, self._alpha, 0)
        cv2.copyTo(colours, labels, canvas)
