"""The example programs run as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def test_parse_video_prints_a_line_a_second(make_clip: Callable[..., Path]) -> None:
    lines = run("parse_video.py", make_clip("in.mp4", frames=12, fps=5)).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["0", "s"], ["1", "s"], ["2", "s"]]


def test_blur_faces_writes_a_video_with_its_sound(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    run("blur_faces.py", make_clip("in.mp4", frames=10, audio="aac"), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as written:
        assert len(written.streams.audio) == 1
        assert sum(1 for _ in written.decode(video=0)) == 10


def test_webcam_without_a_camera_says_so() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("webcam.py", 97)
    assert "camera 97" in failed.value.stderr


def test_the_clip_is_what_it_is_said_to_be() -> None:
    clip = EXAMPLES / "walk.mp4"
    assert clip.stat().st_size <= 2 * 2**20
    with av.open(str(clip)) as opened:
        assert (opened.streams.video[0].codec_context.name, opened.streams.video[0].frames) == ("h264", 225)
        assert len(opened.streams.audio) == 1
