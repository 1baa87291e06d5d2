"""The engine that users test their own applications with."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.engines.fake import FakeEngine
from rtparse.errors import UsageError


def test_it_answers_with_the_picture_scaled_to_half_the_input() -> None:
    picture = np.array([[0, 13], [2, 5]], np.uint8)
    logits = FakeEngine(picture).infer(np.zeros((2, 3, 64, 96), np.float32))
    labels = logits.argmax(1)
    assert labels.shape == (2, 32, 48)
    for row, column, expected in [(0, 0, 0), (15, 47, 13), (16, 0, 2), (31, 24, 5)]:
        assert (labels[:, row, column] == expected).all()


def test_it_answers_with_what_a_function_computes() -> None:
    def face_where_red(batch: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(batch), 20, *(side // 2 for side in batch.shape[2:])), np.float32)
        logits[:, 13] = batch[:, 0, ::2, ::2]
        return logits

    given = np.zeros((1, 3, 32, 32), np.float32)
    given[:, 0, 8:16] = 1
    labels = FakeEngine(face_where_red).infer(given)[0].argmax(0)
    assert (labels[4:8] == 13).all()
    assert labels.sum() == 13 * 4 * 16


@pytest.mark.parametrize(
    "picture",
    [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.int64), np.full((2, 2), 20, np.uint8)],
    ids=["three axes", "int64", "an id too high"],
)
def test_a_picture_of_another_form_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="ids below 20"):
        FakeEngine(picture)
