"""The check before training: everything that is wrong, in one go."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtparse.train.data import check, open_dataset


def test_every_problem_is_named_and_the_rest_is_counted(folder: Path) -> None:
    (folder / "labels" / "1.png").unlink()
    (folder / "images" / "2.jpg").write_bytes(b"no picture" * 9)
    cv2.imwrite(str(folder / "labels" / "4.png"), np.zeros((9, 9), np.uint8))
    labels = np.full((20, 10), 5, np.uint8)
    labels[0, 0], labels[1:3] = 13, 255
    cv2.imwrite(str(folder / "labels" / "5.png"), labels)
    seen: list[None] = []
    (folder / "images" / "3.jpg").rename(folder / "images" / "3.heic")
    report = check(open_dataset(f"folder:{folder}"), lambda: seen.append(None))
    assert len(seen) == 6
    wrong = ("1.png", "2.jpg", "3.jpg", "4.png")
    assert [name for line in report.problems for name in wrong if f"{name} " in line] == list(wrong)
    assert len(report.problems) == 4
    expected = np.zeros(20, np.int64)
    expected[[0, 5, 13]] = 200, 179, 1
    assert report.pixels.tolist() == expected.tolist()
    assert report.present.shape == (6, 20)
    assert [np.flatnonzero(row).tolist() for row in report.present] == [[0], [], [], [], [], [5, 13]]


def test_a_sound_dataset_has_no_problems(folder: Path) -> None:
    report = check(open_dataset(f"folder:{folder}"))
    assert report.problems == ()
    assert report.pixels[:6].tolist() == [200] * 6


def test_rendered_people_are_not_drawn() -> None:
    report = check(open_dataset("synthetic"))
    assert report.problems == ()
    assert report.pixels.sum() == 0
    assert report.present.shape == (0, 20)
