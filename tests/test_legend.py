"""The legend: what it lists, where it lies, and that it is calm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parsing
from rtparse.classes import COLORBLIND_RGB, PALETTE_RGB
from rtparse.legend import HOLD_SECONDS
from rtparse.render import Renderer

GREY = 100


def parsing(ids: list[int], size: tuple[int, int] = (432, 768), pts: float = 0.0) -> Parsing:
    """Classes as equal vertical stripes in the lower right quarter of a grey frame."""
    labels = np.zeros(size, np.uint8)
    people = labels[size[0] // 2 :, size[1] // 2 :]
    for i, columns in zip(ids, np.array_split(np.arange(people.shape[1]), len(ids) or 1), strict=False):
        people[:, columns] = i
    return Parsing(Frame(np.full((*size, 3), GREY, np.uint8), pts), labels)


def panel(view: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of what the legend changed (alpha 0 leaves the rest grey)."""
    changed = (view != GREY).any(2)
    return int(changed.any(1).sum()), int(changed.any(0).sum())


def listed(view: NDArray[np.uint8]) -> list[int]:
    """The ids whose colour the legend shows, from top to bottom, left of the letters with their grey edges."""
    view = view[:, : min(view.shape[:2]) // 40]
    places = {}
    for i in range(1, 20):
        rows = np.nonzero((view == PALETTE_RGB[i, ::-1]).all(2))[0]
        if len(rows) > 20:
            places[i] = rows[0]
    return sorted(places, key=lambda i: places[i])


def test_it_lists_the_classes_in_view_ordered_by_id() -> None:
    assert listed(Renderer(alpha=0)(parsing([13, 5, 2]))) == [2, 5, 13]
    assert panel(Renderer(alpha=0)(parsing([]))) == (0, 0)


def test_only_the_classes_that_are_drawn_are_listed() -> None:
    assert listed(Renderer(alpha=0, classes=["hair", "hat"])(parsing([13, 5, 2]))) == [2]


@pytest.mark.parametrize(
    "size",
    [(120, 160), (160, 120), (240, 320), (432, 768), (1280, 720), (2160, 3840), (4320, 7680)],
    ids=lambda size: f"{size[1]}x{size[0]}",
)
def test_the_middle_stays_free_with_all_classes_in_view(size: tuple[int, int]) -> None:
    view = Renderer(alpha=0)(parsing(list(range(1, 20)), size))
    height, width = panel(view)
    assert height
    assert height <= size[0] / 3 + 8 or width <= size[1] / 3 + 8
    # The text grows with the picture: a panel of a fixed size would vanish on a large one.
    assert height * width >= 0.03 * size[0] * size[1]


@pytest.mark.parametrize("size", [(432, 768), (4320, 7680)])
def test_all_classes_are_listed_where_there_is_room(size: tuple[int, int]) -> None:
    assert listed(Renderer(alpha=0)(parsing(list(range(1, 20)), size))) == list(range(1, 20))


def test_a_class_that_blinks_stays_listed_and_one_that_left_goes() -> None:
    renderer = Renderer(alpha=0)
    for i in range(50):
        view = renderer(parsing([2, 13] if i % 5 == 0 else [2], pts=i / 25))
        assert listed(view) == [2, 13]
    assert listed(renderer(parsing([2], pts=50 / 25 + HOLD_SECONDS))) == [2]


def test_a_jump_back_in_time_forgets() -> None:
    renderer = Renderer(alpha=0)
    renderer(parsing([13], pts=100.0))
    assert listed(renderer(parsing([2], pts=0.0))) == [2]


def test_a_speck_is_not_listed() -> None:
    given = parsing([13])
    given.labels[-3:, -3:] = CLASSES.index("glove")
    assert listed(Renderer(alpha=0)(given)) == [13]


def test_the_panel_keeps_its_width_while_classes_come_and_go() -> None:
    widths = {panel(Renderer(alpha=0)(parsing(ids)))[1] for ids in ([1], [1, 5], [11, 12, 13])}
    assert len(widths) == 1


def test_it_follows_the_palette_of_each_parsing() -> None:
    renderer = Renderer(alpha=0)
    for palette in (PALETTE_RGB, COLORBLIND_RGB):
        given = parsing([13])
        view = renderer(Parsing(given.frame, given.labels, palette_rgb=palette))
        assert (view[:60, :20] == palette[13, ::-1]).all(2).sum() > 50


def test_letters_are_light_on_dark_on_any_picture() -> None:
    for grey in (0, 255):
        given = parsing([13])
        given.frame.image[:] = grey
        corner = Renderer(alpha=0)(given)[:25, :100]
        assert corner.max() == 255
        assert np.median(corner) < 100
