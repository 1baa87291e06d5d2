"""Pictures of a judgement: the confusion matrix, and a sheet of the worst pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.classes import CLASSES
from rtparse.train.evaluation.judge import Judged
from rtparse.train.sheet import coloured

CELL = 46
"""Side of a cell of the confusion matrix, in pixels."""

PANEL = (300, 400)
"""Largest height and width of a picture on the sheet."""

LINE = 26
GAP = 10
SEAM = 4
"""Between the panels of a picture: labels and predictions are mostly black, and would run together."""
INK = (40, 40, 40)
PAPER = 255
FULL = (120, 60, 10)
"""BGR of a cell that holds all of its row; an empty one is white."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def confusion_picture(matrix: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The confusion matrix (20, 20), rows are the labels, as (H, W, 3) uint8 BGR.

    Each row is divided by its sum: a cell says which per cent of a class's pixels were called what. Cells under half a
    per cent carry no number, and rows of classes that the labels never show are grey.
    """
    margin = max(_text_width(name) for name in CLASSES) + 2 * GAP
    top = margin + LINE
    side = CELL * len(CLASSES)
    sheet = np.full((top + side + GAP, margin + side + GAP, 3), PAPER, np.uint8)
    _write(
        sheet,
        "per cent of the pixels labelled (row) that were found to be (column); grey: not in the labels",
        (GAP, LINE - 8),
    )
    for i, name in enumerate(CLASSES):
        _write(sheet, name, (margin - GAP - _text_width(name), top + i * CELL + CELL // 2 + 6))
        upright = np.full((CELL, margin, 3), PAPER, np.uint8)
        _write(upright, name, (GAP, CELL // 2 + 6))
        sheet[LINE:top, margin + i * CELL :][:, :CELL] = cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE)
    totals = matrix.sum(axis=1)
    for row, column in np.ndindex(*matrix.shape):
        y, x = top + row * CELL, margin + column * CELL
        cell = sheet[y + 1 : y + CELL, x + 1 : x + CELL]
        if not totals[row]:
            cell[:] = 225
            continue
        share = matrix[row, column] / totals[row]
        # The square root brings out the small confusions, which are what one looks for.
        depth = math.sqrt(share)
        cell[:] = np.rint(PAPER + depth * (np.array(FULL) - PAPER))
        if share >= 0.005:
            text = f"{100 * share:.0f}"
            place = x + (CELL - _text_width(text)) // 2, y + CELL // 2 + 6
            _write(sheet, text, place, (255, 255, 255) if depth > 0.5 else INK)
    cv2.rectangle(sheet, (margin, top), (margin + side, top + side), INK)
    return sheet


def worst_sheet(judged: Sequence[Judged], palette_rgb: NDArray[np.uint8], columns: int = 2) -> NDArray[np.uint8]:
    """Picture, labels and prediction side by side, with mIoU and name above: (H, W, 3) uint8 BGR.

    judged: at least one, in the order of the sheet. palette_rgb: (20, 3) uint8 RGB, listed below the pictures. Pixels
    that the labels ignore show the picture, darkened.
    """
    tiles = [_tile(each, palette_rgb) for each in judged]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    key = _key(palette_rgb, columns * (width + GAP) + GAP)
    sheet = np.full((LINE + rows * (height + GAP) + GAP + len(key), key.shape[1], 3), PAPER, np.uint8)
    _write(sheet, "picture, labels, prediction", (GAP, LINE - 8))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y, x = LINE + GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    sheet[len(sheet) - len(key) :] = key
    return sheet


def _tile(judged: Judged, palette_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image, labels = judged.pair.image, judged.pair.labels
    scale = min(most / side for most, side in zip(PANEL, labels.shape, strict=True))
    width, height = (max(1, round(side * scale)) for side in labels.shape[::-1])
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    panels = [small]
    for ids in (labels, judged.predicted):
        ids = np.asarray(cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        panels.append(coloured(ids, small, palette_rgb))
    seam = np.full((height, SEAM, 3), PAPER, np.uint8)
    body = np.concatenate([panels[0], seam, panels[1], seam, panels[2]], axis=1)
    caption = np.full((LINE, body.shape[1], 3), PAPER, np.uint8)
    _write(caption, f"{judged.miou:.3f}  {judged.name}", (0, LINE - 8))
    return np.concatenate([caption, body])


def _key(palette_rgb: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A strip of the sheet's width that names the colours."""
    entry = max(_text_width(name) for name in CLASSES) + LINE + 2 * GAP
    columns = max(1, (width - GAP) // entry)
    strip = np.full((-(-len(CLASSES) // columns) * LINE + GAP, width, 3), PAPER, np.uint8)
    for i, name in enumerate(CLASSES):
        row, column = divmod(i, columns)
        x, y = GAP + column * entry, row * LINE
        colour = palette_rgb[i, ::-1].tolist()
        cv2.rectangle(strip, (x, y + 5), (x + 16, y + LINE - 5), colour, cv2.FILLED)
        cv2.rectangle(strip, (x, y + 5), (x + 16, y + LINE - 5), INK)
        _write(strip, name, (x + LINE, y + LINE - 8))
    return strip


def _write(picture: NDArray[np.uint8], text: str, place: tuple[int, int], colour: tuple[int, int, int] = INK) -> None:
    cv2.putText(picture, text, place, _FONT, 0.5, colour, 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, 0.5, 1)[0][0])
