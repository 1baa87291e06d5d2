"""What the server's own sources are called, and how files are played."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtparse import UsageError
from rtparse.serve.feeds import LoopedFile, feed_source

MakeClip = Callable[..., Path]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("0", "camera 0"),
        ("rtsp://user:secret@10.0.0.7:554/stream?key=secret", "10.0.0.7:554"),
        ("https://example.org/secret/live.m3u8", "example.org"),
        ("screen", "screen"),
        ("/dev/v4l/by-id/usb-cam-index0", "usb-cam-index0"),
    ],
)
def test_names_hold_no_password_and_no_path(spec: str, name: str) -> None:
    assert feed_source(spec)[0] == name


def test_a_file_is_named_without_its_folder(make_clip: MakeClip, image_file: Callable[..., bytes]) -> None:
    clip = make_clip("front door.mp4", frames=3)
    assert feed_source(str(clip))[0] == "front door"
    (clip.parent / "0.jpg").write_bytes(image_file())
    assert feed_source(str(clip.parent))[0] == clip.parent.name


@pytest.mark.parametrize("spec", ["no-such-file.mp4", "stdin:64x64:bgr24", "x" * 300])  # too long for a file
def test_what_cannot_be_watched_is_refused_at_once(spec: str) -> None:
    with pytest.raises(UsageError):
        feed_source(spec)


def test_a_broken_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(Exception, match=r"broken\.mp4"):
        feed_source(str(tmp_path / "broken.mp4"))


def test_a_file_is_played_at_its_pace_and_again(make_clip: MakeClip) -> None:
    clip = make_clip("clip.mp4", frames=5, fps=25)
    with LoopedFile(clip) as source:
        begun = time.monotonic()
        frames = list(itertools.islice(source, 12))
        took = time.monotonic() - begun
    assert [frame.index for frame in frames] == list(range(12))
    assert all(later.pts > earlier.pts for earlier, later in itertools.pairwise(frames))
    assert took >= 11 * 0.04 - 0.02
    assert (frames[0].image == frames[5].image).all()
    assert (frames[0].image != frames[1].image).any()


def test_closing_a_looped_file_ends_it(make_clip: MakeClip) -> None:
    source = LoopedFile(make_clip("clip.mp4", frames=3, fps=1))
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []
