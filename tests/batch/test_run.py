"""Nothing is lost and nothing is made twice, whoever dies.

RTPARSE_BATCH_CLIPS=200 RTPARSE_BATCH_KILLS=3 python -m pytest tests/batch/test_run.py is the large run.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from rtparse.batch.inputs import find_videos
from rtparse.batch.manifest import FRAGMENTS, Manifest
from rtparse.batch.run import Plan, View, run
from rtparse.batch.store import WORK

from .conftest import Nodes, eventually, read_labels

CLIPS = int(os.environ.get("RTPARSE_BATCH_CLIPS", "6"))
KILLS = int(os.environ.get("RTPARSE_BATCH_KILLS", "1"))
CORRUPT = int(os.environ.get("RTPARSE_BATCH_CORRUPT", "8"))
LONG_SECONDS = int(os.environ.get("RTPARSE_BATCH_LONG_SECONDS", "6"))


def folder(plan: Plan, path: Path) -> Path:
    (video,) = find_videos([str(path)])
    return Path(plan.store.uri, video.name)


def test_nodes_are_killed_and_every_clip_is_whole(
    ray: Any, nodes: Nodes, cut_clips: Callable[..., list[Path]], make_plan: Callable[..., Plan], single: Any
) -> None:
    clips = cut_clips(CLIPS, kinds=("walk", "rendered", "shared"))
    plan = make_plan()
    chance, ended, strikes = random.Random(int.from_bytes(os.urandom(4))), [], []
    moments = sorted(chance.sample(range(1, CLIPS - 1), KILLS))

    def shown(done: int, total: int, frames: int, at: list[Any]) -> None:
        if len(strikes) < KILLS and done >= moments[len(strikes)]:
            time.sleep(chance.uniform(0, 0.2))  # somewhere within a clip
            strikes.append(at)
            nodes.kill_one()

    view = View(shown=shown, ended=lambda record: ended.append(record.video))
    report = run(ray, plan, find_videos([str(path) for path in clips]), view)
    assert len(strikes) == KILLS
    assert (report.done, report.failed, report.exit_code) == (CLIPS, 0, 0), report.problems
    assert len(set(ended)) == len(ended) == CLIPS
    rows = {row["video"]: row for row in pq.read_table(Path(plan.store.uri, "manifest.parquet")).to_pylist()}
    assert sorted(rows) == sorted(map(str, clips))
    for clip in clips:
        expected = single(clip)
        labels = read_labels(folder(plan, clip) / "labels.mkv")
        assert len(labels) == len(expected) == rows[str(clip)]["frames"] == 20
        np.testing.assert_array_equal(labels, expected)
        parts = pq.read_table(folder(plan, clip) / "parts.parquet").to_pydict()
        assert parts["index"] == list(range(20))
        np.testing.assert_allclose(parts["pts"], np.arange(20) / 25, atol=1e-9)
        face = [frame == 13 for frame in expected]
        np.testing.assert_allclose(parts["share_face"], [mask.mean() for mask in face])
        for box, mask in zip(parts["box_face"], face, strict=True):
            y, x = np.nonzero(mask)
            assert box == ([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1] if len(x) else None)
    left = {path.name for path in Path(plan.store.uri).iterdir()}
    assert left == {folder(plan, clip).name for clip in clips} | {"manifest.parquet", "report.json"}


def test_a_rerun_does_what_is_not_done(
    ray: Any,
    cut_clips: Callable[..., list[Path]],
    make_plan: Callable[..., Plan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips = cut_clips(4)
    broken = tmp_path / "clips" / "text.mp4"
    broken.write_text("no video\n" * 100)
    plan, stop, ended = make_plan(retries=0), Event(), []

    def end(record: Any) -> None:
        ended.append(record.name)
        if len(ended) == 2:
            stop.set()

    # The manifest is written while work goes on.
    monkeypatch.setattr("rtparse.batch.manifest.FLUSH_SECONDS", 0.0)
    first = run(ray, plan, find_videos([str(tmp_path / "clips")]), View(ended=end), stop)
    assert (first.interrupted, first.exit_code) == (True, 130)
    assert list(Path(plan.store.uri, FRAGMENTS).iterdir())

    second = run(ray, plan, find_videos([str(tmp_path / "clips")]))
    assert second.skipped >= 2
    assert (second.skipped + second.done, second.failed, second.exit_code) == (4, 1, 1)
    assert [video for video, _ in second.problems] == [str(broken)]
    assert not folder(plan, broken).exists()
    manifest = Manifest(plan.store)
    assert all(manifest.done(video, plan.options) for video in find_videos(map(str, clips)))

    # Finished, but a killed driver did not come to write it down.
    stamps = {clip: (folder(plan, clip) / "labels.mkv").stat().st_mtime_ns for clip in clips}
    Path(plan.store.uri, "manifest.parquet").unlink()
    clips[0].write_bytes(clips[1].read_bytes())  # another video now
    broken.unlink()
    third = run(ray, plan, find_videos([str(tmp_path / "clips")]))
    assert (third.skipped, third.done, third.failed) == (3, 1, 0)
    now = {clip: (folder(plan, clip) / "labels.mkv").stat().st_mtime_ns for clip in clips}
    assert [now[clip] == stamps[clip] for clip in clips] == [False, True, True, True]
    assert not Path(plan.store.uri, WORK).exists()


def test_corrupt_files_stop_no_other(
    ray: Any, cut_clips: Callable[..., list[Path]], make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    (whole, cut) = cut_clips(2)
    cut.rename(tmp_path / "clips" / "cut.mp4")
    good = (tmp_path / "clips" / "cut.mp4").read_bytes()
    noise = np.random.default_rng(0)
    for number in range(CORRUPT):
        kinds = [b"", b"no video", noise.bytes(5000), good[: len(good) // 3]]
        (tmp_path / "clips" / f"bad{number:04d}.mp4").write_bytes(kinds[number % len(kinds)])
    (tmp_path / "clips" / "list.txt").write_text("clip000.mp4\nmissing.mp4\n")
    plan = make_plan(seconds=5)
    report = run(ray, plan, find_videos([str(tmp_path / "clips"), str(tmp_path / "clips" / "list.txt")]))
    assert (report.videos, report.done, report.failed) == (CORRUPT + 3, 2, CORRUPT + 1)
    problems = dict(report.problems)
    assert "there is no file" in problems[str(tmp_path / "clips" / "missing.mp4")]
    assert "empty" in problems[str(tmp_path / "clips" / "bad0000.mp4")]
    assert all(problems.values())
    assert len(read_labels(folder(plan, whole) / "labels.mkv")) == 20


# The stated tolerance: the past before the warm-up weighs 1e-4. Where runs are short, test_worker.py has it.
@pytest.mark.parametrize(("smooth", "differing"), [(0.0, 0.0), *([(0.8, 1e-4)] if LONG_SECONDS >= 60 else [])])
def test_a_long_video_whose_worker_is_killed_is_what_one_process_makes_of_it(
    ray: Any,
    cut_clips: Callable[..., list[Path]],
    make_plan: Callable[..., Plan],
    single: Any,
    smooth: float,
    differing: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (path,) = cut_clips(1, frames=25 * LONG_SECONDS)
    plan = make_plan(seconds=LONG_SECONDS / 6, keep=("labels", "overlay", "stats"), smooth=smooth)
    struck = []
    monkeypatch.setattr("rtparse.batch.pool.POLL_SECONDS", 0.0)

    def shown(done: int, total: int, frames: int, at: list[Any]) -> None:
        for name, _ in [each for each in at if each[1].frames > 0 and not struck]:
            os.kill(int(name.partition(":")[2]), signal.SIGKILL)
            struck.append(name)

    report = run(ray, plan, find_videos([str(path)]), View(shown=shown))
    assert (report.done, report.exit_code) == (1, 0), report.problems
    assert struck
    expected = single(path, smooth)
    labels = read_labels(folder(plan, path) / "labels.mkv")
    assert len(labels) == len(expected) == 25 * LONG_SECONDS
    assert np.mean(np.array(labels) != np.array(expected)) <= differing
    rows = pq.read_table(folder(plan, path) / "parts.parquet")
    assert rows.column("index").to_pylist() == list(range(len(expected)))
    (row,) = pq.read_table(Path(plan.store.uri, "manifest.parquet")).to_pylist()
    assert row["parts"] >= 5  # keyframes are 0.4 s apart
    with av.open(str(folder(plan, path) / "overlay.mp4")) as overlay:
        times = [frame.pts * frame.time_base for frame in overlay.decode(video=0)]
    np.testing.assert_allclose([float(time) for time in times], rows.column("pts").to_numpy(), atol=1e-6)
    assert not Path(plan.store.uri, WORK).exists()


def test_workers_with_and_without_a_gpu_share_the_work(
    ray: Any, nodes: Nodes, cut_clips: Callable[..., list[Path]], make_plan: Callable[..., Plan]
) -> None:
    # A node that says it has a GPU; Ray believes it. The network runs on its CPU, since no plan fits.
    node, stop = nodes.start(num_gpus=1), Event()
    eventually(lambda: any(each["Alive"] and "GPU" in each["Resources"] for each in ray.nodes()))
    devices: set[str] = set()

    def ended(record: Any) -> None:
        assert not record.error
        devices.add(record.device)
        if len(devices) == 2:
            stop.set()

    # The same clip by many names, until both have had one.
    (clip,) = cut_clips(1)
    for number in range(1000):
        clip.with_name(f"same{number}.mp4").symlink_to(clip)
    try:
        run(ray, make_plan(gpus=1.0), find_videos([str(clip.parent)]), View(ended=ended), stop)
    finally:
        nodes.cluster.remove_node(node)
    assert devices == {"onnxruntime", "onnxruntime, GPU"}
