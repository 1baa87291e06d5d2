"""Judging a parser whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rtparse import Parser
from rtparse.classes import CLASSES, NUM_CLASSES
from rtparse.engines.fake import FakeEngine
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.compose import Pair
from rtparse.train.evaluation.judge import Judgement, judge
from rtparse.train.evaluation.paper import TABLE_1, TABLE_2
from rtparse.train.evaluation.report import Report, Subject
from rtparse.train.evaluation.temporal import Steadiness

FACE, HAIR = CLASSES.index("face"), CLASSES.index("hair")


@pytest.fixture(scope="module")
def found() -> Judgement:
    """Answers of a parser that finds hair in the upper half of every picture of 64x64, for three pictures."""
    upper = np.zeros((64, 64), np.uint8)
    upper[:32] = HAIR
    lower, ignored = upper[::-1].copy(), np.full((64, 64), 255, np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    pairs = [("right", upper), ("wrong|one", lower), ("ignored", ignored)]
    with Parser(FakeEngine(upper), size=(64, 64)) as parser:
        return judge(parser, ((name, Pair(image, labels)) for name, labels in pairs), keep_worst=2)


def test_figures_by_hand(found: Judgement) -> None:
    # One picture right, one with hair and background exchanged.
    assert found.confusion[0, 0] == found.confusion[HAIR, HAIR] == found.confusion[0, HAIR] == 32 * 64
    assert found.scores.pixel_accuracy == pytest.approx(0.5)
    assert found.scores.iou[HAIR] == pytest.approx(1 / 3)
    assert found.scores.miou == pytest.approx(1 / 3)
    assert found.boundary_iou[HAIR] == pytest.approx(1 / 3)
    assert np.isnan(found.boundary_iou[FACE])


def test_pictures_and_the_worst_of_them(found: Judgement) -> None:
    assert found.pictures[:2] == (("right", 1.0), ("wrong|one", 0.0))
    assert np.isnan(found.pictures[2][1])
    assert [(each.name, each.miou) for each in found.worst] == [("wrong|one", 0.0), ("right", 1.0)]
    assert (found.worst[0].predicted[:32] == HAIR).all()


def test_only_the_worst_are_kept() -> None:
    labels = [
        np.where(np.arange(64)[:, None] < cut, np.uint8(HAIR), np.uint8(0)).repeat(64, 1) for cut in (32, 8, 24, 1)
    ]
    pairs = [(str(number), Pair(np.zeros((64, 64, 3), np.uint8), each)) for number, each in enumerate(labels)]
    with Parser(FakeEngine(labels[0]), size=(64, 64)) as parser:
        assert [each.name for each in judge(parser, pairs, keep_worst=2).worst] == ["3", "1"]
        assert judge(parser, pairs).worst == ()


def test_nothing_to_judge_by() -> None:
    blank = Pair(np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8))
    with Parser(FakeEngine(np.zeros((8, 8), np.uint8))) as parser:
        for pairs in ([], [("blank", blank)]):
            with pytest.raises(UsageError, match="no labelled pixel"):
                judge(parser, pairs)


def test_other_classes_cannot_be_judged() -> None:
    other = ModelMetadata(classes=("background", "person"), palette_rgb=((0, 0, 0), (255, 0, 0)))
    with (
        Parser(FakeEngine(np.zeros((8, 8), np.uint8), metadata=other)) as parser,
        pytest.raises(UsageError, match="2 classes of its own"),
    ):
        judge(parser, [])


SUBJECT = Subject("tiny", "onnxruntime", "fp32", "ab" * 32, "folder:a_b (val)", "model", True, (1.0, 1.5), 0.0)


def test_the_document_is_json_without_nan(found: Judgement) -> None:
    document = json.loads(json.dumps(Report(SUBJECT, found).document(), allow_nan=False))
    assert document["model"] == "tiny"
    assert document["miou"] == pytest.approx(1 / 3)
    assert document["iou"]["hair"] == pytest.approx(1 / 3)
    assert document["iou"]["face"] is document["boundary_iou_by_class"]["face"] is None
    assert np.array(document["confusion"]).sum() == 2 * 64 * 64
    assert document["by_picture"][2] == {"name": "ignored", "miou": None}


def test_labels_that_show_nobody_are_said() -> None:
    blank = Pair(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8))
    with Parser(FakeEngine(np.zeros((32, 32), np.uint8)), size=(32, 32)) as parser:
        report = Report(SUBJECT, judge(parser, [("empty room", blank)]))
    assert json.loads(json.dumps(report.document(), allow_nan=False))["person_iou"] is None
    assert "| person IoU | not in the labels |" in report.markdown()


def test_the_page_shows_ours_beside_the_papers(found: Judgement) -> None:
    page = Report(SUBJECT, found).markdown()
    lines = page.splitlines()
    assert (
        "tiny (onnxruntime, fp32 weights) on folder:a\\_b (val), input of the model's size, flip, scales 1, 1.5; 3"
        in lines[2]
    )
    assert "| figure | value | paper, LIP val |" in lines
    assert any(line.startswith("| mIoU | 0.3333 ") and line.endswith("| 0.5305 |") for line in lines)
    assert "| hair | 0.3333 | 0.3333 | 0.7048 |" in lines
    assert "| glove | not in the labels |  | 0.4006 |" in lines
    assert "| wrong\\|one | 0.0000 |" in lines
    assert "| C-DLinkNet | 87.04 | 62.84 | 53.05 |" in lines
    # Every table has as many cells in each line as in its head.
    for table in [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_a_page_of_steadiness() -> None:
    found = Steadiness(10, 0.9, 0.99, float("nan"), 0.01, (0.01,) * 9)
    report = Report(replace(SUBJECT, data="clip.mp4", smooth=0.5), found)
    assert "smooth 0.5; 10 frames" in report.markdown()
    assert "| the same, pixels of people | nobody in view |" in report.markdown()
    assert json.loads(json.dumps(report.document(), allow_nan=False))["unchanged_person"] is None


def test_the_papers_rows_are_whole() -> None:
    assert [row.method for row in TABLE_1] == ["B", "B + A", "B + S", "B + A + S", "B + S + A + L"]
    for row in TABLE_1:
        assert len(row.iou) == NUM_CLASSES
        # A misread figure would move the mean. The printed one is 0.01 off in rows, and 0.15 in the last one.
        assert np.mean(row.iou) == pytest.approx(row.miou, abs=0.16 if "L" in row.method else 0.015)
    assert (TABLE_2[-1].miou, TABLE_2[-1].pixel_accuracy) == (TABLE_1[-1].miou, TABLE_1[-1].iou[0])
