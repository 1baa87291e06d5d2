"""Recordings: what plays back, above all after the process was killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import SinkError
from rtparse.parsing import Parsing
from rtparse.sinks import SegmentSink

Numbered = Callable[..., Parsing]
ReadNumber = Callable[[NDArray[np.uint8]], int]

NAME = re.compile(r"door_\d{8}T\d{6}Z(-\d+)?\.mp4")


def view(parsing: Parsing) -> NDArray[np.uint8]:
    return parsing.frame.image


def played(path: Path, read_number: ReadNumber) -> dict[int, float]:
    """The numbers that a player shows, and when."""
    with av.open(path) as container:
        return {
            read_number(frame.to_ndarray(format="bgr24")): frame.time
            for frame in container.decode(video=0)
            if frame.time is not None
        }


def test_a_file_every_so_many_seconds_and_no_frame_lost(
    tmp_path: Path, numbered: Numbered, read_number: ReadNumber
) -> None:
    sink = SegmentSink(tmp_path / "a" / "rec", view, name="door", seconds=2.0)
    for number in range(125):  # 5 s
        sink.write(numbered(number))
    running = sorted((tmp_path / "a" / "rec").glob("*.part.mp4"))
    sink.finish()
    files = sorted((tmp_path / "a" / "rec").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(running) == 1
    assert all(NAME.fullmatch(path.name) for path in files)
    shown = [played(path, read_number) for path in files]
    assert [(min(each), max(each)) for each in shown] == [(0, 49), (50, 99), (100, 124)]
    assert [len(each) for each in shown] == [50, 50, 25]
    for each in shown:
        assert np.allclose(list(each.values()), np.arange(len(each)) / 25, atol=1e-4)


def test_a_closed_file_is_an_ordinary_mp4(tmp_path: Path, numbered: Numbered) -> None:
    sink = SegmentSink(tmp_path, view)
    for number in range(60):
        sink.write(numbered(number))
    sink.finish()
    (path,) = tmp_path.iterdir()
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames, stream.codec_context.pix_fmt) == ("h264", 60, "yuv420p")
        assert container.duration is not None
        assert abs(container.duration / 1e6 - 2.4) < 0.05
        container.seek(2_100_000)
        assert next(container.decode(video=0)).time == pytest.approx(2.0)  # a keyframe every two seconds
    assert b"moof" not in path.read_bytes()[:200]


def test_gaps_and_times_that_run_backwards(tmp_path: Path, numbered: Numbered, read_number: ReadNumber) -> None:
    sink = SegmentSink(tmp_path, view, seconds=60)
    for number in (100, 101, 200, 150, 151, 300):  # the camera was away for 4 s, then its clock was set back
        sink.write(numbered(number))
    sink.finish()
    (path,) = tmp_path.iterdir()
    shown = played(path, read_number)
    assert list(shown) == [100, 101, 200, 150, 151, 300]
    assert list(shown.values()) == sorted(set(shown.values()))
    assert shown[200] == pytest.approx(4.0, abs=1e-3)
    assert shown[300] == pytest.approx(8.0, abs=1e-3)


def test_a_clock_that_stands_still_does_not_make_files_endless(tmp_path: Path, numbered: Numbered) -> None:
    sink = SegmentSink(tmp_path, view, seconds=1.0)
    for _ in range(70):
        sink.write(numbered(7))
    sink.finish()
    assert len(list(tmp_path.iterdir())) == 3  # 30 FPS are assumed


def test_a_picture_of_another_size_is_letterboxed_until_the_next_file(tmp_path: Path, numbered: Numbered) -> None:
    sink = SegmentSink(tmp_path, view, seconds=1.0)
    for number in range(50):
        sink.write(numbered(number, (96, 160) if number < 10 else (120, 160)))
    sink.finish()
    sizes = []
    for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        with av.open(path) as container:
            frames = list(container.decode(video=0))
            sizes.append({(frame.width, frame.height) for frame in frames})
            assert len(frames) == 25
    assert sizes == [{(160, 96)}, {(160, 120)}]


def test_what_is_there_is_never_replaced(tmp_path: Path, numbered: Numbered) -> None:
    sinks = [SegmentSink(tmp_path, view, name="door") for _ in range(4)]
    for sink in sinks:
        sink.write(numbered(0))
    for sink in sinks[:3]:
        sink.finish()
    sinks[3].abort()
    assert len([path for path in tmp_path.iterdir() if NAME.fullmatch(path.name)]) == 3
    assert len(list(tmp_path.glob("*.part.mp4"))) == 1  # an aborted recording keeps what it has


def test_nothing_is_written_of_no_frames(tmp_path: Path) -> None:
    SegmentSink(tmp_path, view).finish()
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "rec").touch()
    with pytest.raises(SinkError, match="rec is a file, expected a folder"):
        SegmentSink(tmp_path / "rec", view)


# Says what it has written, so that the test knows how much of it survives.
PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks import SegmentSink

bits, folder = 10, Path(sys.argv[1])
sink = SegmentSink(folder, lambda parsing: parsing.frame.image, name="door", seconds=1.5)
noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
for number in range(1000):
    columns = ((number >> np.arange(bits)) & 1)[np.arange(320) * bits // 320]
    picture = np.broadcast_to((columns * 255).astype(np.uint8)[None, :, None], (180, 320, 3)).copy()
    picture[120:] = noise[120:]
    sink.write(Parsing(Frame(picture, number / 25, number), picture[:, :, 0]))
    print(number, flush=True)
    time.sleep(0.02)
"""


def test_a_killed_recording_plays_up_to_its_last_second(tmp_path: Path, read_number: ReadNumber) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(70)]  # within the second file, and within a fragment of it
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
    finally:
        child.kill()
        child.wait(10)
    written = [int(line) for line in lines if line.endswith("\n")]
    (part,) = tmp_path.glob("*.part.mp4")
    (closed,) = set(tmp_path.iterdir()) - {part}
    assert NAME.fullmatch(closed.name)
    assert list(played(closed, read_number)) == list(range(38))
    rest = list(played(part, read_number))
    assert rest == list(range(38, 38 + len(rest)))
    assert len(written) - 38 - len(rest) <= 25  # a second of 25 FPS at most
    assert len(rest) > 5
