"""Where outputs go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtparse.cli.targets import Target, default_output, make_folders, targets
from rtparse.errors import SinkError, UsageError


@pytest.fixture(autouse=True)
def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a.mp4, b.mkv, sub/a.mov and the folder `made`, in the current folder."""
    monkeypatch.chdir(folder)
    for name in ("a.mp4", "b.mkv", "sub/a.mov", "made/keep.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rtsp://camera.local/stream1", "stream1.parsed.mp4"),
        ("http://host/a/clip.mp4?token=1", "clip.parsed.mp4"),
        ("0", "camera-0.parsed.mp4"),
        ("sub/a.mov", "sub/a.parsed.mp4"),
    ],
)
def test_default_names(source: str, expected: str) -> None:
    assert default_output(source) == Path(expected)


def test_one_input_writes_where_the_options_say() -> None:
    m, j = Path("m"), Path("o.jsonl")
    assert targets(["a.mp4"], None, m, j) == [Target("a.mp4", Path("a.parsed.mp4"), m, j)]
    assert targets(["a.mp4"], Path("o.webm"), None, None) == [Target("a.mp4", Path("o.webm"), None, None)]
    assert targets(["a.mp4"], Path("made"), None, None)[0].output == Path("made/a.parsed.mp4")


def test_several_inputs_write_beside_themselves_or_into_folders() -> None:
    sources = ["a.mp4", "b.mkv", "0", "rtsp://host/door"]
    assert [str(t.output) for t in targets(sources, None, None, None)] == [
        "a.parsed.mp4",
        "b.parsed.mp4",
        "camera-0.parsed.mp4",
        "door.parsed.mp4",
    ]
    made = targets(sources, Path("new"), Path("masks"), Path("made"))
    assert made[1] == Target("b.mkv", Path("new/b.parsed.mp4"), Path("masks/b"), Path("made/b.jsonl"))
    assert made[2] == Target("0", Path("new/camera-0.parsed.mp4"), Path("masks/camera-0"), Path("made/camera-0.jsonl"))
    make_folders(made)
    assert Path("new").is_dir()
    assert Path("masks").is_dir()
    make_folders(made)  # again does nothing
    with pytest.raises(SinkError, match="mkdir -p"):
        make_folders(targets(sources, Path("no/where"), None, None))


@pytest.mark.parametrize(
    ("sources", "output", "jsonl", "message"),
    [
        (["a.mp4", "c.mp4"], None, None, "no file or folder c.mp4"),
        (["a.mp4", "b.mkv"], "out.mp4", None, "-o out.mp4 is one file for 2 inputs; name a folder"),
        (["a.mp4", "b.mkv"], "made/keep.txt", None, "is one file for 2 inputs"),
        (["a.mp4", "b.mkv"], None, "o.jsonl", "--jsonl o.jsonl is one file for 2 inputs; name a folder"),
        # the same file twice, also by another path
        (["a.mp4", "a.mp4"], None, None, "a.mp4 and a.mp4 would both become a.parsed.mp4"),
        (["a.mp4", "./a.mp4"], None, None, "would both become"),
        # two names that meet in one folder
        (["a.mp4", "sub/a.mov"], "made", None, "a.mp4 and sub/a.mov would both become made/a.parsed.mp4"),
        (["a.mp4", "sub/a.mov"], None, "made", "would both become made/a.jsonl"),
        (["a.mp4"], "a.mp4", None, "a.mp4 is an input itself"),
        (["a.mp4"], "o.mkv", "./o.mkv", "two outputs of a.mp4 would both be o.mkv"),
    ],
)
def test_what_cannot_be_meant(sources: list[str], output: str | None, jsonl: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        targets(sources, Path(output) if output else None, None, Path(jsonl) if jsonl else None)


def test_a_cutout_is_a_mov_or_a_folder_of_its_own() -> None:
    assert targets(["a.mp4"], None, None, None, alpha=True)[0].output == Path("a.parsed.mov")
    assert targets(["a.mp4"], Path("made"), None, None, alpha=True)[0].output == Path("made")
    assert targets(["a.mp4", "b.mkv"], Path("made"), None, None, alpha=True)[1].output == Path("made/b.parsed.mov")
    with pytest.raises(UsageError, match=r"two outputs of a\.mp4 would both be frames"):
        targets(["a.mp4"], Path("frames"), Path("frames"), None, alpha=True)


def test_an_output_is_never_another_input() -> None:
    Path("a.parsed.mp4").touch()
    with pytest.raises(UsageError, match=r"a\.parsed\.mp4 is an input itself"):
        targets(["a.mp4", "a.parsed.mp4"], None, None, None)
    os.link("b.mkv", "b.parsed.mp4")
    with pytest.raises(UsageError, match=r"b\.parsed\.mp4 is an input itself"):
        targets(["a.mp4", "b.mkv"], None, None, None)
