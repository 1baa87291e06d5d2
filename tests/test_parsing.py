"""What is asked of a parsing, against plain NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from rtparse import CLASSES, Frame, Parsing, UsageError

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")


@pytest.fixture
def parsing() -> Parsing:
    labels = np.zeros((40, 60), np.uint8)
    labels[3:9, 5:20] = FACE
    labels[1:3, 5:20] = HAIR
    labels[30, 59] = HAIR
    return Parsing(Frame(np.zeros((40, 60, 3), np.uint8)), labels)


@pytest.fixture
def crowd() -> Parsing:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((211, 157)) < 0.97, 0, rng.integers(0, 20, (211, 157))).astype(np.uint8)
    return Parsing(Frame(np.zeros((211, 157, 3), np.uint8)), labels)


def test_mask_of_one_and_of_several_classes(parsing: Parsing) -> None:
    assert parsing.mask("face").dtype == np.bool_
    np.testing.assert_array_equal(parsing.mask("face"), parsing.labels == FACE)
    np.testing.assert_array_equal(parsing.mask("hair", "face"), parsing.labels > 0)
    np.testing.assert_array_equal(parsing.mask("background"), parsing.labels == 0)
    assert not parsing.mask("skirt").any()


def test_shares_of_the_classes_in_view(parsing: Parsing, crowd: Parsing) -> None:
    assert parsing.share() == {"background": 2279 / 2400, "hair": 31 / 2400, "face": 90 / 2400}
    assert list(crowd.share()) == list(CLASSES)
    for name, share in crowd.share().items():
        assert share == pytest.approx((crowd.labels == CLASSES.index(name)).mean())


def test_boxes_hold_every_pixel_and_no_more(parsing: Parsing, crowd: Parsing) -> None:
    assert parsing.boxes() == {"hair": (5, 1, 55, 30), "face": (5, 3, 15, 6)}
    for name, (x, y, width, height) in crowd.boxes().items():
        rows, columns = np.nonzero(crowd.labels == CLASSES.index(name))
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
    assert list(crowd.boxes()) == list(CLASSES[1:])


def test_an_empty_frame_has_no_boxes() -> None:
    empty = Parsing(Frame(np.zeros((1, 1, 3), np.uint8)), np.zeros((1, 1), np.uint8))
    assert empty.boxes() == {}
    assert empty.share() == {"background": 1.0}


def test_rle_survives_json_and_decodes_to_the_mask(crowd: Parsing) -> None:
    for name in ("face", "background"):
        rle = json.loads(json.dumps(crowd.rle(name)))
        assert rle["size"] == [211, 157]
        np.testing.assert_array_equal(coco.decode(rle).astype(bool), crowd.mask(name))


def test_unknown_classes_are_named(parsing: Parsing) -> None:
    for use in (lambda: parsing.mask("nose"), lambda: parsing.rle("nose"), lambda: parsing.overlay(classes=["nose"])):
        with pytest.raises(UsageError, match="there is no class 'nose'; choose from: background, hat"):
            use()
    with pytest.raises(UsageError, match="without a class"):
        parsing.mask()


def test_a_models_own_classes_are_used() -> None:
    labels = np.array([[0, 1]], np.uint8)
    parsing = Parsing(Frame(np.zeros((1, 2, 3), np.uint8)), labels, ("nothing", "person"))
    assert parsing.share() == {"nothing": 0.5, "person": 0.5}
    assert parsing.mask("person").tolist() == [[False, True]]


def test_views_leave_the_parsing_alone(parsing: Parsing) -> None:
    before = parsing.labels.copy()
    for view, channels in ((parsing.overlay(), 3), (parsing.picture(), 3), (parsing.cutout(), 4)):
        assert view.shape == (40, 60, channels)
        view[:] = 7
    assert not parsing.frame.image.any()
    np.testing.assert_array_equal(parsing.labels, before)
