"""From logits on the network's grid to one label per pixel of the frame."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rtparse.errors import EngineError
from rtparse.preprocess import Letterbox

TILE_PIXELS = 80
"""Side of a tile on the frame. Smaller ones hold fewer classes each, larger ones cost fewer calls."""


class Upsampler:
    """Bilinear interpolation of logits at every pixel centre of the frame, then argmax; the lowest id wins ties.

    It is one map from the grid to the frame, with the letterbox undone in the coordinates (half-pixel centres, the
    grid's edge repeated outward, as torch's interpolate with align_corners=False): frame pixel x reads the grid at
    (left + (x + 0.5) * content width / frame width) * grid width / network width - 0.5.

    Most of that work cannot change a label. Bilinear weights are positive and sum to 1, so a class that is nowhere
    above another on the grid points around a tile stays below it all over the tile. The frame is therefore cut into
    tiles; where one class leads on all grid points the tile is filled, elsewhere only the classes that may lead are
    interpolated, as `rows @ logits @ columns`. The labels are those of the full computation, but for the rounding of
    values that tie to the last float32 digits.

    Calls are thread-safe.
    """

    def __init__(self, letterbox: Letterbox, grid_hw: tuple[int, int]) -> None:
        self._grid_hw = grid_hw
        self._rows, self._columns = (
            _Axis(frame, grid, first * grid / network, content * grid / network)
            for frame, grid, first, content, network in zip(
                letterbox.frame_hw,
                grid_hw,
                (letterbox.top, letterbox.left),
                letterbox.content_hw,
                letterbox.network_hw,
                strict=True,
            )
        )

    def __call__(self, logits: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Logits (classes, h, w) float32 to labels (H, W) uint8 of the frame's size, a new array of the caller's.

        Raises EngineError when the logits do not have the grid's size.
        """
        if logits.ndim != 3 or logits.shape[1:] != self._grid_hw:
            raise EngineError(
                f"got logits of shape {logits.shape}, expected (classes, {', '.join(map(str, self._grid_hw))})"
            )
        rows, columns = self._rows, self._columns
        window = (rows.reach, columns.reach)
        leaders = sliding_window_view(_argmax(logits), window)[rows.starts][:, columns.starts]
        first, last = leaders.min((2, 3)), leaders.max((2, 3))
        labels: NDArray[np.uint8] = first.repeat(rows.lengths, 0).repeat(columns.lengths, 1)
        contested = np.nonzero(first != last)
        around = sliding_window_view(logits, window, (1, 2))[:, rows.starts[contested[0]], columns.starts[contested[1]]]
        candidates = _may_lead(around)
        for tile, (row, column) in enumerate(zip(*contested, strict=True)):
            ids = np.flatnonzero(candidates[:, tile])
            labels[rows.slices[row], columns.slices[column]] = _lead(
                rows.weights[row], around[ids, tile], columns.weights[column].T, ids
            )
        return labels


class _Axis:
    """Tiles along one side of the frame: which pixels each has, which grid points it reads, and with which weights."""

    def __init__(self, frame: int, grid: int, first: float, span: float) -> None:
        position = np.clip(first + (np.arange(frame) + 0.5) * (span / frame) - 0.5, 0, grid - 1)
        below = np.minimum(np.floor(position).astype(np.intp), max(grid - 2, 0))
        edges = np.linspace(0, frame, max(1, round(frame / TILE_PIXELS)) + 1).astype(np.intp)
        self.slices = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self.lengths = np.diff(edges)
        self.reach = min(int(np.max(below[edges[1:] - 1] - below[edges[:-1]])) + 2, grid)
        # All tiles read equally many grid points, so that one strided view serves them.
        self.starts = np.minimum(below[edges[:-1]], grid - self.reach)
        self.weights = []
        for start, pixels in zip(self.starts, self.slices, strict=True):
            distance = np.abs(position[pixels, None] - np.arange(start, start + self.reach))
            self.weights.append(np.maximum(1 - distance, 0).astype(np.float32))


def _argmax(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Argmax over the first axis, the lowest id wins ties; several times faster there than np.argmax."""
    best = logits[0].copy()
    leader = np.zeros(best.shape, np.uint8)
    for i in range(1, len(logits)):
        # Ids grow, so the maximum of the ids that led so far is the last of them.
        np.maximum(leader, (logits[i] > best) * np.uint8(i), out=leader)
        np.maximum(best, logits[i], out=best)
    return leader


def _may_lead(around: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which classes may lead somewhere between grid points (classes, tiles, h, w): (classes, tiles) bool.

    Those that neither of the two strongest classes exceeds on every point. (Any pair of references is sound; the
    strongest rule out most.)
    """
    if around.shape[1] == 0:
        return np.zeros(around.shape[:2], np.bool_)
    strongest = np.argpartition(around.mean((2, 3)), -2, axis=0)[-2:]
    possible = np.ones(around.shape[:2], np.bool_)
    for reference in strongest:
        against = around[reference, np.arange(around.shape[1])]
        possible &= (around >= against).any((2, 3))
    return possible


def _lead(
    rows: NDArray[np.float32], logits: NDArray[np.float32], columns: NDArray[np.float32], ids: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Labels (H, W) uint8 of one tile: the id of the greatest of rows (H, h) @ logits (k, h, w) @ columns (w, W)."""
    if len(ids) == 2:
        ahead = rows @ (logits[1] - logits[0]) @ columns > 0
        return np.where(ahead, np.uint8(ids[1]), np.uint8(ids[0]))
    half = rows @ logits
    best = half[0] @ columns
    leader = np.full(best.shape, ids[0], np.uint8)
    value = np.empty_like(best)
    for i in range(1, len(ids)):
        np.matmul(half[i], columns, out=value)
        np.maximum(leader, (value > best) * np.uint8(ids[i]), out=leader)
        np.maximum(best, value, out=best)
    return leader
