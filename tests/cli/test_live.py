"""`rtparse live` as a user runs it, fed with raw frames that carry their number."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import click
import numpy as np
import pytest

from rtparse.cli.duration import Duration
from rtparse.cli.live import command
from rtparse.cli.live_outputs import source_names
from rtparse.errors import RtparseError, UsageError
from rtparse.sources.live_open import open_live

WIDTH, HEIGHT, BITS = 160, 96, 10
STDIN = ("--stdin", f"{WIDTH}x{HEIGHT}:bgr24")


def picture(number: int) -> bytes:
    """Ten black or white columns: the bits of the number."""
    columns = ((number >> np.arange(BITS)) & 1)[np.arange(WIDTH) * BITS // WIDTH]
    return np.broadcast_to((columns * 255).astype(np.uint8)[None, :, None], (HEIGHT, WIDTH, 3)).tobytes()


def numbers_in(path: Path) -> list[int]:
    middles = ((np.arange(BITS) + 0.5) * WIDTH / BITS).astype(int)
    with av.open(path) as container:
        rows = [frame.to_ndarray(format="bgr24")[HEIGHT // 2, middles] for frame in container.decode(video=0)]
    return [int(((row.mean(-1) > 127) << np.arange(BITS)).sum()) for row in rows]


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def live(folder: Path, tiny_onnx: Path) -> Iterator[Start]:
    """Start `rtparse live --stdin ARGS` in `folder`, with pipes; it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rtparse", "live", *STDIN, "--engine", tiny_onnx, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(list(map(str, command)), cwd=folder, **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def feed(process: subprocess.Popen[bytes], count: int, pause: float = 0.0) -> None:
    """Frames into the pipe until somebody closes it."""
    assert process.stdin is not None
    try:
        for number in range(count):
            process.stdin.write(picture(number % 2**BITS))
            process.stdin.flush()
            time.sleep(pause)
    except (BrokenPipeError, ValueError):
        pass


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_all_outputs_hold_every_frame_and_stdout_only_labels(folder: Path, live: Start) -> None:
    outputs = ("--record", "rec", "--jsonl", "out.jsonl", "--stats", "stats.jsonl")
    process = live(*outputs, "--labels-to-stdout", "--keep-all")
    feeder = threading.Thread(target=feed, args=(process, 30))
    feeder.start()
    assert process.stdout is not None
    labels = process.stdout.read(30 * WIDTH * HEIGHT)
    feeder.join(60)
    process.stdin.close()  # type: ignore[union-attr]
    process.stdin = None
    rest, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    told = lines_of(folder / "out.jsonl")
    assert [line["index"] for line in told] == list(range(30))
    (recording,) = (folder / "rec").iterdir()
    assert recording.name.startswith("stdin_")
    with av.open(recording) as container:
        assert len(list(container.decode(video=0))) == 30
    assert rest == b""
    assert np.frombuffer(labels, np.uint8).reshape(30, HEIGHT, WIDTH).max() < 20
    (source,) = lines_of(folder / "stats.jsonl")[-1]["sources"]  # type: ignore[misc]
    assert (source["frames_in"], source["dropped"], source["state"]) == (30, 0, "closed")
    assert source["latency_p50"] > 0
    assert b"30 frames parsed" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files(folder: Path, live: Start, number: signal.Signals) -> None:
    process = live("--record", "rec", "--jsonl", "out.jsonl", "--alpha", 0, "--keep-all")
    feeder = threading.Thread(target=feed, args=(process, 2000, 0.02))
    feeder.start()
    until = time.monotonic() + 120
    while not ((folder / "out.jsonl").exists() and len((folder / "out.jsonl").read_bytes().splitlines()) > 10):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, number)
    code = process.wait(30)
    feeder.join(30)
    assert code == 0
    (recording,) = (folder / "rec").iterdir()
    assert not recording.name.endswith(".part.mp4")
    shown = numbers_in(recording)
    assert shown == list(range(len(shown)))
    assert len(shown) == len(lines_of(folder / "out.jsonl")) > 10


def test_a_dead_output_is_dropped_and_the_others_go_on(folder: Path, live: Start) -> None:
    url = f"rtmp://user:secret@127.0.0.1:{free_port()}/live/key"
    process = live("--record", "rec", "--to", url, "--keep-all", "--alpha", 0)
    _, said = process.communicate(b"".join(map(picture, range(20))), timeout=120)
    assert process.returncode == 1
    (recording,) = (folder / "rec").iterdir()
    assert numbers_in(recording) == list(range(20))
    assert b"error: rtmp://127.0.0.1" in said
    assert b"was dropped, the others go on" in said
    assert b"secret" not in said
    assert b"key" not in said
    assert b"Traceback" not in said


def test_when_the_only_output_is_gone_the_run_ends(live: Start) -> None:
    process = live("--labels-to-stdout")
    assert process.stdout is not None
    process.stdout.close()
    feeder = threading.Thread(target=feed, args=(process, 4000, 0.01))
    feeder.start()
    code = process.wait(120)
    assert process.stderr is not None
    said = process.stderr.read()
    feeder.join(30)
    assert code == 1
    assert b"nobody reads the labels" in said
    assert b"Traceback" not in said


def test_it_ends_after_its_time_though_nothing_comes(live: Start) -> None:
    process = live("--for", "1s")
    _, said = process.communicate(timeout=120)  # closes the pipe at once; the next line says what came
    assert process.returncode == 0
    assert b"0 frames parsed" in said


def test_wrong_use_that_a_frame_tells_is_said_once(live: Start) -> None:
    process = live("--roi", "150,0,20,20", "--labels-to-stdout", "-q")
    _, said = process.communicate(picture(0), timeout=120)
    assert process.returncode == 2
    assert said.decode().splitlines() == [
        "error: stdin: the region 150,0,20,20 ends at 170,20, the frame has 160x96 pixels; "
        "expected x + width and y + height within the frame"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_statistics_that_cannot_be_written_end_nothing_else(folder: Path, live: Start) -> None:
    process = live("--jsonl", "out.jsonl", "--stats", "/dev/full", "-y", "--keep-all")
    _, said = process.communicate(b"".join(map(picture, range(5))), timeout=120)
    assert process.returncode == 1
    assert len(lines_of(folder / "out.jsonl")) == 5
    assert b"5 frames parsed" in said
    assert b"error: /dev/full cannot be written (No space left on device)" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no SOURCE was given"),
        (["0", "1", "--labels-to-stdout"], "--labels-to-stdout takes one SOURCE, got 2"),
        (["0", "1", "--virtual-camera"], "--virtual-camera takes one SOURCE, got 2"),
        (["0", "1", "--to", "udp://127.0.0.1:9"], "got 1 --to for 2 SOURCE"),
        (["0", "--to", "http://127.0.0.1/"], "a stream cannot be sent to http://127.0.0.1"),
        (["0", "--rle"], "--rle was given without --jsonl"),
        (["0", "1", "--jsonl", "out.jsonl"], "is one file for 2 SOURCE"),
        (["0", "--effect", "cutout"], "a cut-out has alpha"),
        (["0", "--capture-size", "large"], "expected WIDTHxHEIGHT"),
        (["clip.mp4"], "cannot watch 'clip.mp4'"),
        (["--stdin", "640x480"], "expected WIDTHxHEIGHT:bgr24"),
    ],
)
def test_wrong_use_is_told_before_any_work(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        command.main(arguments, standalone_mode=False)
    assert said in str(caught.value)


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    for option in ("--jsonl", "--stats"):
        (tmp_path / "kept").write_text("kept")
        with pytest.raises(RtparseError, match="exists"):
            command.main(["0", option, str(tmp_path / "kept")], standalone_mode=False)
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "ten", "5 minutes", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a length of time"):
        Duration().convert(text, None, None)


def test_messages_hold_no_password_of_a_source() -> None:
    with open_live("rtsp://me:secret@cam.local:554/front?x=1") as source:
        assert source.info.name == source.statistics().name == "rtsp://cam.local:554/front?x=1"


def test_names_of_sources_are_different_and_hold_no_password() -> None:
    specs = ["0", "/dev/video1", "rtsp://me:se@cret@cam.local/front?x=1", "rtsp://cam.local/front", "screen", "0"]
    specs += ["videotestsrc ! appsink", "http://b-3", "http://b", "http://b", "http://b"]
    assert source_names(specs) == [
        "camera-0",
        "video1",
        "cam.local-front",
        "cam.local-front-2",
        "screen",
        "camera-0-2",
        "gstreamer",
        "b-3",
        "b",
        "b-2",
        "b-4",
    ]
