from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtparse.errors import SourceError, UsageError
from rtparse.frame import Frame
from rtparse.sources import open_source, open_sources

PICTURE = np.full((4, 6, 3), (10, 20, 30), np.uint8)


@pytest.mark.parametrize("as_type", [str, Path])
def test_files_and_folders_by_path(make_clip: Callable[..., Path], tmp_path: Path, as_type: type) -> None:
    clip = make_clip("clip.mp4", frames=3)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.PNG", "b.png"):
        assert cv2.imwrite(str(folder / name), PICTURE)
    for spec, count in ((clip, 3), (folder, 2), (folder / "a.PNG", 1)):
        with open_source(as_type(spec)) as source:
            assert len(list(source)) == count
            assert source.info.name == str(spec)


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (PICTURE, 1),  # one array
        (PICTURE[:, :, 0], 1),  # one grey array
        (np.stack([PICTURE] * 3), 3),  # a stack of arrays
        ([PICTURE, PICTURE], 2),  # a list
        (Image.fromarray(PICTURE), 1),  # one PIL image
        (Frame(PICTURE), 1),  # one frame
        ((PICTURE for _ in range(4)), 4),  # a generator
    ],
)
def test_pictures_in_memory(spec: object, count: int) -> None:
    with open_source(spec) as source:
        assert len(list(source)) == count


def test_color_reaches_arrays() -> None:
    with open_source([PICTURE], color="rgb") as source:
        assert tuple(next(iter(source)).image[0, 0]) == (30, 20, 10)


@pytest.mark.parametrize("spec", [99, "99"])
def test_numbers_are_cameras(spec: object) -> None:
    with pytest.raises(SourceError, match="camera 99"):
        open_source(spec)


@pytest.mark.parametrize("spec", [None, True, -1, 2.5, object()])
def test_what_holds_no_frames_is_wrong_use(spec: object) -> None:
    with pytest.raises(UsageError, match="cannot read frames from"):
        open_source(spec)


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file or folder .*missing\.mp4"):
        open_source(tmp_path / "missing.mp4")


def test_a_list_of_pictures_is_one_source_and_any_other_list_is_several(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    clip = make_clip("clip.mp4", frames=3)
    image = tmp_path / "a.png"
    assert cv2.imwrite(str(image), PICTURE)
    held = open_source(image)
    frame, pil = Frame(PICTURE), Image.fromarray(PICTURE)
    for spec, counts in (
        (str(clip), [3]),
        ([PICTURE, PICTURE[:, :, 0]], [2]),  # arrays
        ((frame, pil, PICTURE), [3]),  # pictures of all kinds
        ([], [0]),
        (np.stack([PICTURE] * 3), [3]),
        (iter([PICTURE, PICTURE]), [2]),
        ([clip], [3]),  # several, of which there is one
        ((str(clip), image), [3, 1]),
        ([[PICTURE, PICTURE], clip], [2, 3]),  # a list of pictures beside a file
        ([iter([PICTURE]), [frame], held], [1, 1, 1]),
    ):
        sources = open_sources(spec)
        assert [len(list(source)) for source in sources] == counts
        for source in sources:
            source.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["none.mp4", PICTURE], "pictures and sources in one list"),
        (["none.mp4"], "no file or folder none.mp4"),
        ([[PICTURE], None], "cannot read frames from None"),
    ],
    ids=["mixed", "missing", "no source"],
)
def test_lists_that_cannot_be_meant(spec: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_sources(spec)
