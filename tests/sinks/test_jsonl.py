from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.jsonl import JsonlSink


def parsing(index: int) -> Parsing:
    labels = np.zeros((10, 20), np.uint8)
    labels[2:5, 3 + index : 8 + index] = 13  # face
    return Parsing(Frame(np.zeros((10, 20, 3), np.uint8), pts=index / 3, index=index), labels)


@pytest.mark.parametrize("rle", [False, True])
def test_a_line_a_frame(tmp_path: Path, rle: bool) -> None:
    sink = JsonlSink(tmp_path / "out.jsonl", rle=rle)
    for index in range(3):
        sink.write(parsing(index))
    assert not (tmp_path / "out.jsonl").exists()
    sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert [line["pts"] for line in lines] == [0.0, 0.333333, 0.666667]
    assert (lines[0]["width"], lines[0]["height"]) == (20, 10)
    face = lines[1]["classes"]["face"]
    assert list(lines[1]["classes"]) == ["face"]
    assert (face["share"], face["box"]) == (0.075, [4, 2, 5, 3])
    if rle:
        np.testing.assert_array_equal(coco.decode(face["rle"]), parsing(1).labels == 13)
    else:
        assert "rle" not in face


def test_a_picture_without_people_has_a_line(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "out.jsonl")
    sink.write(Parsing(Frame(np.zeros((4, 4, 3), np.uint8)), np.zeros((4, 4), np.uint8)))
    sink.finish()
    assert json.loads((tmp_path / "out.jsonl").read_text())["classes"] == {}


def test_abort_leaves_nothing_new(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("before")
    sink = JsonlSink(tmp_path / "out.jsonl")
    sink.write(parsing(0))
    sink.abort()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.jsonl", "before")]
