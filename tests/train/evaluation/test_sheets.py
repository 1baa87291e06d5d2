"""The pictures of a judgement: their sizes, and colours at places that are known."""

from __future__ import annotations

import numpy as np

from rtparse.classes import CLASSES, PALETTE_RGB
from rtparse.train.compose import Pair
from rtparse.train.evaluation.judge import Judged
from rtparse.train.evaluation.sheets import CELL, FULL, GAP, LINE, SEAM, confusion_picture, worst_sheet

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    """A cell's colour beside its number: near its upper left corner."""
    side = CELL * len(CLASSES)
    top, left = sheet.shape[0] - side - GAP, sheet.shape[1] - side - GAP
    return sheet[top + row * CELL + 4, left + column * CELL + 4]


def test_cells_are_as_dark_as_their_share_of_the_row() -> None:
    matrix = np.zeros((20, 20), np.int64)
    matrix[0, 0], matrix[HAIR, HAIR], matrix[HAIR, FACE] = 5, 300, 100
    sheet = confusion_picture(matrix)
    assert (cell(sheet, 0, 0) == FULL).all()
    assert (cell(sheet, 0, HAIR) == 255).all()
    assert cell(sheet, HAIR, HAIR).sum() < cell(sheet, HAIR, FACE).sum() < 3 * 255
    assert (cell(sheet, FACE, FACE) == 225).all()  # a class without pixels is grey, not white
    # Every class has letters before its row and above its column.
    side = CELL * len(CLASSES)
    top, left = sheet.shape[0] - side - GAP, sheet.shape[1] - side - GAP
    for i in range(len(CLASSES)):
        assert (sheet[top + i * CELL : top + (i + 1) * CELL, :left] < 128).sum() > 50
        assert (sheet[LINE:top, left + i * CELL : left + (i + 1) * CELL] < 128).sum() > 50


def judged(height: int, width: int, name: str) -> Judged:
    labels = np.full((height, width), FACE, np.uint8)
    labels[: height // 2] = 255
    image = np.full((height, width, 3), 90, np.uint8)
    return Judged(name, 0.25, Pair(image, labels), np.full((height, width), HAIR, np.uint8))


def test_picture_labels_and_prediction_lie_side_by_side() -> None:
    sheet = worst_sheet([judged(200, 100, "one.jpg")], PALETTE_RGB)
    top, third = LINE + GAP + LINE, 150 + SEAM  # 200x100 is shown at 300x150
    assert (sheet[top + 150, GAP + 75] == 90).all()
    assert (sheet[top + 60, GAP + third + 75] == 30).all()  # ignored: the picture, darkened
    assert (sheet[top + 240, GAP + third + 75] == PALETTE_RGB[FACE, ::-1]).all()
    assert (sheet[top + 150, GAP + 2 * third + 75] == PALETTE_RGB[HAIR, ::-1]).all()
    assert (sheet[top + 150, GAP + 150 : GAP + third] == 255).all()
    assert (sheet[:LINE] < 128).any()  # what the three are
    assert (sheet[LINE + GAP : top] < 128).any()  # the score and the name


def test_sheets_of_pictures_of_any_shape() -> None:
    for sizes in ([(1, 1)], [(20, 2000), (2000, 20), (64, 48)], [(720, 1280)] * 5):
        sheet = worst_sheet([judged(*size, "take[1] ü.png") for size in sizes], PALETTE_RGB)
        assert sheet.dtype == np.uint8
        assert sheet.shape[0] < 2000
        assert sheet.shape[1] < 2500
