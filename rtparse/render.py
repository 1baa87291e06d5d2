"""Pictures of a parsing: the views that videos, windows and image files show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

VIEWS = ("overlay", "labels", "cutout", "side-by-side")


class Renderer:
    """Draws one view of every parsing of a stream (see the next commit)."""

    def __init__(
        self,
        view: str = "overlay",
        *,
        alpha: float = 0.5,
        classes: Iterable[str] | None = None,
        legend: bool = True,
    ) -> None:
        if view not in VIEWS:
            raise UsageError(f"there is no view {view!r}", f"choose from: {', '.join(VIEWS)}")
        self.view = view

    def __call__(self, parsing: Parsing) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, a new array."""
        return parsing.frame.image.copy()
