"""One photo through a window."""

from __future__ import annotations

import numpy as np

from rtparse.classes import CLASSES, IGNORE_LABEL
from rtparse.train.compose import Pair
from rtparse.train.crops import paper_crop, video_crop, window

FACE, COAT = CLASSES.index("face"), CLASSES.index("coat")
SIZE_HW = (64, 48)


def photo() -> Pair:
    """128x96: a face of 16x16 at the top of a coat; the picture's blue is its label."""
    labels = np.zeros((128, 96), np.uint8)
    labels[16:32, 40:56] = FACE
    labels[32:96, 30:66] = COAT
    return Pair(np.dstack([labels * 12, labels * 0, labels * 0]), labels)


def crops(crop, count: int) -> list[Pair]:
    return [crop(photo(), np.random.default_rng(seed), SIZE_HW) for seed in range(count)]


def test_picture_and_labels_move_together() -> None:
    for crop in (paper_crop, video_crop):
        for pair in crops(crop, 40):
            assert pair.image.shape == (*SIZE_HW, 3)
            inside = pair.labels != IGNORE_LABEL
            agree = np.abs(pair.image[:, :, 0].astype(int) - pair.labels.astype(int) * 12) < 30
            assert agree[inside].mean() > 0.9  # all but the interpolated outlines
            assert (pair.image[~inside][:, 1] > 0).all()  # grey, not the photo


def test_paper_scales_from_a_half_to_one_and_a_half() -> None:
    # The photo of 128x96 just fits 64x48 at half its size: 1024 pixels of coat over 2304 at most.
    whole = [pair for pair in crops(paper_crop, 200) if (pair.labels == IGNORE_LABEL).mean() > 0.3]
    areas = [(pair.labels != IGNORE_LABEL).mean() for pair in whole]
    assert min(areas) > 0.25 * 0.9
    heads = [(pair.labels == FACE).sum() / 64 for pair in crops(paper_crop, 200)]
    assert max(heads) < 1.5**2 * 1.2
    assert max(heads) > 1.9
    assert min(head for head in heads if head) < 0.5


def test_paper_places_the_photo_anywhere() -> None:
    # Where it is small, padding comes on all four sides; where it is large, all four edges are cut at times.
    padded = [(pair.labels == IGNORE_LABEL) for pair in crops(paper_crop, 200)]
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        full = [mask[edge].mean() for mask in padded]
        assert max(full) == 1
        assert min(full) < 0.3


def test_video_zooms_onto_heads() -> None:
    pairs = crops(video_crop, 300)
    shares = np.array([(pair.labels == FACE).mean() for pair in pairs])
    assert shares.max() > 0.25
    assert (shares == 0).any()
    faceless = Pair(photo().image, np.zeros((128, 96), np.uint8))
    for seed in range(50):
        assert video_crop(faceless, np.random.default_rng(seed), SIZE_HW).labels.shape == SIZE_HW


def test_windows_are_parts_of_the_picture_about_people() -> None:
    whole = photo()
    seen = {}
    for seed in range(400):
        part = window(whole, np.random.default_rng(seed), 48)
        assert part.labels.shape == (48, 48)
        np.testing.assert_array_equal(part.image[:, :, 0], part.labels * 12)  # nothing is resampled
        seen[seed] = part.labels
    people = np.mean([(labels > 0).any() for labels in seen.values()])
    assert people > 0.95
    # The face has 256 pixels and the coat 2304: by pixels alone a tenth of the windows would be about it.
    middle = np.mean([(labels[16:32, 16:32] == FACE).any() for labels in seen.values()])
    assert middle > 0.15
    corners = {tuple(labels[[0, 0, -1, -1], [0, -1, 0, -1]]) for labels in seen.values()}
    assert len(corners) > 3
    nobody = Pair(whole.image, np.zeros((128, 96), np.uint8))
    assert window(nobody, np.random.default_rng(0), 96).labels.shape == (96, 96)
