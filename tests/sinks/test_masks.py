from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.errors import SinkError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks.masks import MaskSink


def parsing(index: int) -> Parsing:
    labels = np.full((5, 7), index % 20, np.uint8)
    return Parsing(Frame(np.zeros((5, 7, 3), np.uint8), index=index), labels)


def test_a_mask_a_frame_holds_the_class_ids(tmp_path: Path) -> None:
    sink = MaskSink(tmp_path / "masks")
    for index in (0, 19, 123):
        sink.write(parsing(index))
    assert not (tmp_path / "masks").exists()
    sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["000000.png", "000019.png", "000123.png"]
    mask = cv2.imread(str(tmp_path / "masks" / "000019.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.full((5, 7), 19, np.uint8))


def test_masks_join_a_folder_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "000000.png").write_text("old")
    (folder / "mine.txt").write_text("kept")
    sink = MaskSink(folder)
    sink.write(parsing(0))
    sink.finish()
    assert cv2.imread(str(folder / "000000.png"), cv2.IMREAD_UNCHANGED) is not None
    assert (folder / "mine.txt").read_text() == "kept"


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    sink = MaskSink(tmp_path / "masks")
    sink.write(parsing(0))
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "masks").write_text("a file")
    with pytest.raises(SinkError, match="is a file, expected a folder"):
        MaskSink(tmp_path / "masks")


def test_no_folder_to_make_it_in(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="mkdir -p"):
        MaskSink(tmp_path / "missing" / "masks")
