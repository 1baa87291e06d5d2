"""Views: which pixels they change, and to what."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parsing, UsageError
from rtparse.classes import COLORBLIND_RGB, PALETTE_RGB
from rtparse.render import VIEWS, Renderer

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")


def parsing(height: int = 60, width: int = 90, pts: float = 0.0) -> Parsing:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[height // 2 :, width // 3 : width // 2] = FACE
    labels[height // 3 : height // 2, width // 3 : width // 2] = HAIR
    return Parsing(Frame(image, pts), labels)


def bgr(label: int) -> NDArray[np.int64]:
    return PALETTE_RGB[label, ::-1].astype(np.int64)


def test_overlay_blends_the_palette_where_a_class_is() -> None:
    given = parsing()
    view = Renderer("overlay", alpha=0.25, legend=False)(given)
    background = given.labels == 0
    np.testing.assert_array_equal(view[background], given.frame.image[background])
    for label in (FACE, HAIR):
        here = given.labels == label
        expected = 0.75 * given.frame.image[here] + 0.25 * bgr(label)
        assert np.abs(view[here] - expected).max() <= 1


def test_alpha_0_is_the_frame_and_1_is_flat_colour() -> None:
    given = parsing()
    np.testing.assert_array_equal(Renderer(alpha=0, legend=False)(given), given.frame.image)
    view = Renderer(alpha=1, legend=False)(given)
    assert (view[given.labels == FACE] == bgr(FACE)).all()


def test_labels_are_palette_colours_on_black() -> None:
    given = parsing()
    view = Renderer("labels", legend=False)(given)
    np.testing.assert_array_equal(view, PALETTE_RGB[given.labels][:, :, ::-1])


@pytest.mark.parametrize("view", ["overlay", "labels", "side-by-side"])
def test_views_follow_the_palette_of_the_parsing(view: str) -> None:
    given = parsing()
    seen = Renderer(view, alpha=1, legend=False)(Parsing(given.frame, given.labels, palette_rgb=COLORBLIND_RGB))
    here = seen[:, -90:][given.labels == FACE]
    assert (here == COLORBLIND_RGB[FACE, ::-1]).all()


def test_side_by_side_is_the_frame_and_the_overlay() -> None:
    given = parsing()
    view = Renderer("side-by-side")(given)
    np.testing.assert_array_equal(view[:, :90], given.frame.image)
    np.testing.assert_array_equal(view[:, 90:], Renderer("overlay")(given))


@pytest.mark.parametrize("view", VIEWS)
def test_only_the_classes_asked_for_are_drawn(view: str) -> None:
    given = parsing()
    only_face = Parsing(given.frame, np.where(given.labels == FACE, given.labels, 0).astype(np.uint8))
    drawn = Renderer(view, classes=iter(["face"]))
    np.testing.assert_array_equal(drawn(given), Renderer(view)(only_face))
    np.testing.assert_array_equal(drawn(given), Renderer(view)(only_face))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (33, 47)])
def test_any_size_is_drawn_with_and_without_people(view: str, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 9, np.uint8)
    for label in (0, FACE):
        drawn = Renderer(view)(Parsing(Frame(image), np.full(size, label, np.uint8)))
        assert drawn.shape == (size[0], size[1] * (2 if view == "side-by-side" else 1), 3)
        assert not np.may_share_memory(drawn, image)
    assert (image == 9).all()


def test_wrong_options_are_named() -> None:
    with pytest.raises(UsageError, match="no view 'x'; choose from: overlay, labels, side-by-side"):
        Renderer("x")
    with pytest.raises(UsageError, match=r"alpha 1\.5"):
        Renderer(alpha=1.5)
    with pytest.raises(UsageError, match="'nose'"):
        Renderer(classes=["nose"])(parsing())
