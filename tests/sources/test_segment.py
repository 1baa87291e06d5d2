"""The parts of a file are together what the whole is, picture by picture."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtparse.errors import SourceError
from rtparse.sources.segment import PacketIndex, SegmentSource, Span, read_index, stated_seconds
from rtparse.sources.video import VideoSource

VARIABLE = [Fraction(n, 25) + Fraction(n % 3, 120) for n in range(75)]


def test_spans_cut_at_keyframes_and_leave_no_crumb() -> None:
    index = PacketIndex(0, Fraction(1, 10), tuple(range(100)), tuple(range(0, 100, 8)))
    assert index.spans(20) == []
    spans = index.spans(2, warm=5)
    assert [span.first for span in spans] == [0, 24, 48, 72]
    assert [span.end for span in spans] == [24, 48, 72, None]
    assert sum(span.frames for span in spans) == 100
    assert [span.lead for span in spans] == [0, 19, 43, 67]
    assert [span.seek for span in spans] == [None, 8, 32, 56]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("closed.mp4", {"options": {"g": "10", "bf": "3"}}),
        ("open.mkv", {"options": {"x264-params": "keyint=10:open-gop=1:bframes=3"}}),
        # no keyframe but the first: pictures become whole by and by
        ("refresh.mp4", {"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}}),
        ("open.mp4", {"codec": "libx265", "options": {"x265-params": "keyint=10:open-gop=1:bframes=3:log-level=none"}}),
        ("variable.mp4", {"options": {"g": "10"}, "times": VARIABLE}),
        ("stream.ts", {"options": {"g": "10", "bf": "2"}, "tick": Fraction(1, 90_000)}),
        ("old.avi", {"codec": "mpeg4", "options": {"g": "9", "bf": "0"}, "tick": Fraction(1, 25)}),
        ("web.webm", {"codec": "libvpx-vp9", "options": {"g": "10", "deadline": "realtime", "cpu-used": "8"}}),
        ("turned.mp4", {"options": {"g": "10"}, "rotation": (90, False, False)}),
    ],
)
def test_parts_are_the_whole(make_clip: Callable[..., Path], name: str, fields: dict[str, object]) -> None:
    path = make_clip(name, **{"frames": 75, **fields})
    with VideoSource(path) as source:
        whole = list(source)
    index = read_index(path)
    assert index is not None
    assert len(index.pts) == len(whole) == 75
    spans = index.spans(0.6, warm=7)
    assert len(spans) > 2
    parts = []
    for span in spans:
        with SegmentSource(path, span, threads=1) as source:
            frames = list(source)
        assert source.damage == ()
        warm = [frame for frame in frames if frame.pts < source.first_pts]
        assert len(warm) == (7 if span.first > index.pts[0] else 0)
        assert len(frames) - len(warm) == span.frames
        before = parts[len(parts) - len(warm) :]
        parts += frames[len(warm) :]
        for one, other in zip(warm, before, strict=True):
            np.testing.assert_array_equal(one.image, other.image)
    assert [frame.pts for frame in parts] == [frame.pts for frame in whole]
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_what_cannot_be_cut_for_certain_is_not(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    raw = make_clip("raw.h264", options={"g": "5"})  # no timestamps
    assert read_index(raw) is None
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(SourceError):
        read_index(tmp_path / "text.mp4")


def test_a_span_of_another_file_is_refused(make_clip: Callable[..., Path]) -> None:
    path = make_clip("clip.mp4", frames=30, options={"g": "10"})
    for first in (7, 10**9):
        with (
            SegmentSource(path, Span(None, first, first, None, 3)) as source,
            pytest.raises(SourceError, match="picture"),
        ):
            list(source)


def test_length_is_read_without_decoding(make_clip: Callable[..., Path]) -> None:
    path = make_clip("clip.mp4", frames=50)
    assert stated_seconds(path) == pytest.approx(2, abs=0.05)
    with path.open("rb") as file:  # as of a remote file system
        assert stated_seconds(file) == pytest.approx(2, abs=0.05)
        file.seek(0)
        assert read_index(file) == read_index(path)
