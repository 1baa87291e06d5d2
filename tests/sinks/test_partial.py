from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtparse.errors import SinkError
from rtparse.sinks.partial import PartialFile


def test_the_name_comes_when_the_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("before")
    file = PartialFile(tmp_path / "out.txt")
    file.part.write_text("after")
    assert (tmp_path / "out.txt").read_text() == "before"
    file.commit()
    assert (tmp_path / "out.txt").read_text() == "after"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.txt"]
    file.discard()
    assert (tmp_path / "out.txt").read_text() == "after"


def test_its_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    file = PartialFile(tmp_path / "out.txt")
    file.commit()
    (tmp_path / "other").touch()
    assert (tmp_path / "out.txt").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    PartialFile(tmp_path / ("ü" * 125 + ".mp4")).commit()
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="is a folder, expected a file name"):
        PartialFile(tmp_path)
    with pytest.raises(SinkError, match="not a regular file"):
        PartialFile(Path("/dev/null"))
    with pytest.raises(SinkError, match=r"No such file or directory.*mkdir -p"):
        PartialFile(tmp_path / "missing" / "out.txt")
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="Not a directory"):
        PartialFile(tmp_path / "file" / "out.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SinkError, match=r"Permission denied.*choose a folder"):
            PartialFile(tmp_path / "out.txt")
    finally:
        tmp_path.chmod(0o700)


def test_a_name_taken_meanwhile_by_a_folder(tmp_path: Path) -> None:
    file = PartialFile(tmp_path / "out.txt")
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(SinkError, match="directory"):
        file.commit()
    assert list(tmp_path.iterdir()) == [tmp_path / "out.txt"]
