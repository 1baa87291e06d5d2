"""A worker and the join without a cluster: on a disk, and on an S3 server of this machine."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from rtparse.batch.inputs import find_videos
from rtparse.batch.job import DAMAGED, DONE, FAILED, Options, Work
from rtparse.batch.join import join
from rtparse.batch.models import Model
from rtparse.batch.plan import Cutting
from rtparse.batch.store import Store
from rtparse.batch.worker import Outcome, Setup, Worker, parts_folder
from rtparse.errors import RtparseError, SourceError
from rtparse.sources.video import VideoSource

from .conftest import eventually, read_labels

Single = Callable[..., list[NDArray[np.uint8]]]


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A URI under which there is nothing."""
    if request.param == "disk":
        yield str(tmp_path / "place")
        return
    server = pytest.importorskip("moto.server", reason="no S3 server: pip install moto[server]")
    import fsspec

    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        bucket = f"place-{secrets.token_hex(4)}"  # the servers of one process share what they hold
        fsspec.filesystem("s3").mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        running.stop()
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def make_worker(model: Model, place: str) -> Callable[..., Worker]:
    def make(**options: object) -> Worker:
        chosen = Options(model.network.sha256, backend="onnxruntime", **options)  # type: ignore[arg-type]
        store = Store(f"{place}/out")
        store.prepare()
        return Worker(Setup(store, chosen, cpus=1), model)

    return make


def upload(place: str, path: Path) -> str:
    store = Store(place)
    store.write(f"in/{path.name}", path.read_bytes())
    return f"{place}/in/{path.name}"


def test_parts_from_anywhere_to_anywhere(
    place: str, make_worker: Callable[..., Worker], cut_clips: Callable[..., list[Path]], single: Single, tmp_path: Path
) -> None:
    (clip,) = cut_clips(1, frames=100)
    (video,) = find_videos([upload(place, clip)])
    worker = make_worker(keep=("labels", "overlay"))
    store, options = worker._setup.store, worker._setup.options
    works = Cutting(1).works(video)
    assert len(works) > 2
    with pytest.raises(SourceError, match=f"only 0 of {len(works)} parts"):
        join(store, options, works)
    first = [worker.run(work) for work in works]
    assert [outcome.record.status for outcome in first] == [DONE] * len(works)
    assert [worker.run(work).kept for work in works] == [True] * len(works)
    record = join(store, options, works)
    assert (record.frames, record.parts) == (100, len(works))
    assert store.names(video.name) == ["labels.mkv", "overlay.mp4", "record.json"]
    assert store.names(parts_folder(video.name)) == []
    with store.fetched(f"{video.name}/labels.mkv") as path:
        np.testing.assert_array_equal(read_labels(path), single(clip))
    whole = make_worker(keep=("labels", "overlay")).run(Work(video))
    assert whole.kept  # it is done
    alone = make_worker(keep=("labels", "stats")).run(Work(video)).record
    assert alone.labels_sha256 == record.labels_sha256
    with store.fetched(f"{video.name}/parts.parquet") as path:
        assert pq.read_table(path).num_rows == 100
    assert store.names(video.name) == ["labels.mkv", "parts.parquet", "record.json"]


def test_what_is_wrong_is_in_the_record_and_nothing_else_is_left(
    place: str, make_worker: Callable[..., Worker], cut_clips: Callable[..., list[Path]], tmp_path: Path
) -> None:
    (whole,) = cut_clips(1, frames=60, suffix=".mkv")
    short, text = tmp_path / "short.mkv", tmp_path / "text.mkv"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    text.write_text("no video\n" * 100)
    damaged, failed = find_videos([upload(place, short), upload(place, text)])
    worker = make_worker()
    store = worker._setup.store
    record = worker.run(Work(damaged)).record
    assert record.status == DAMAGED
    assert 0 < record.frames < 60
    assert "ends early" in record.error or "corrupt" in record.error
    assert json.loads(store.read(f"{damaged.name}/record.json") or b"")["error"] == record.error
    record = worker.run(Work(failed)).record
    assert record.status == FAILED
    assert "text" in record.error or "video" in record.error
    assert store.names(failed.name) == []


def test_sound_is_joined_too(
    tmp_path: Path, model: Model, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip("tone.mp4", frames=100, options={"g": "10"}, audio="aac")
    (video,) = find_videos([str(clip)])
    options = Options(model.network.sha256, keep=("overlay",), backend="onnxruntime")
    store = Store(str(tmp_path / "out"))
    worker = Worker(Setup(store, options, cpus=1), model)
    works = Cutting(1).works(video)
    for work in works:
        assert worker.run(work).record.whole
    join(store, options, works)
    with av.open(str(tmp_path / "out" / video.name / "overlay.mp4")) as joined, av.open(str(clip)) as given:
        assert sum(1 for _ in joined.decode(video=0)) == 100
        assert joined.streams.audio[0].duration == given.streams.audio[0].duration
        assert abs(joined.duration - given.duration) < 100_000  # microseconds


@pytest.fixture
def make_local(tmp_path: Path, model: Model) -> Callable[..., Worker]:
    def make(**options: object) -> Worker:
        chosen = Options(model.network.sha256, backend="onnxruntime", **options)  # type: ignore[arg-type]
        return Worker(Setup(Store(str(tmp_path / "out")), chosen, cpus=1), model)

    return make


def test_smoothing_warms_up_across_cuts(
    make_local: Callable[..., Worker], cut_clips: Callable[..., list[Path]], single: Single, tmp_path: Path
) -> None:
    (clip,) = cut_clips(1, frames=100)
    (video,) = find_videos([str(clip)])
    worker = make_local(smooth=0.8)
    works = Cutting(1, 0.8).works(video)
    assert len(works) > 2
    assert all(worker.run(work).record.whole for work in works)
    join(worker._setup.store, worker._setup.options, works)
    labels, expected = read_labels(tmp_path / "out" / video.name / "labels.mkv"), single(clip, 0.8)
    assert len(labels) == len(expected)
    # The stated tolerance: the past before the warm-up weighs 1e-4.
    assert np.mean(np.array(labels) != np.array(expected)) <= 1e-4
    assert np.mean(np.array(labels) != np.array(single(clip))) > 1e-3, "without smoothing it is another result"


@pytest.mark.parametrize(
    ("name", "clip", "parts"),
    [
        # pictures at uneven times
        ("uneven.mkv", {"times": [Fraction(n * n + 3 * n, 60) for n in range(40)], "options": {"g": "5"}}, True),
        # a phone held upright
        ("upright.mp4", {"frames": 60, "rotation": (90, False, False), "options": {"g": "10"}}, True),
        # B-frames, whose packets are not in the order of time
        ("reordered.mp4", {"frames": 60, "options": {"g": "10", "bf": "3"}}, True),
        # one keyframe only: nowhere to cut
        ("one-keyframe.mp4", {"frames": 60, "options": {"g": "1000"}}, False),
        ("one-frame.mp4", {"frames": 1}, False),
    ],
)
def test_parts_are_the_whole_of_odd_videos(
    make_local: Callable[..., Worker],
    make_clip: Callable[..., Path],
    single: Single,
    tmp_path: Path,
    name: str,
    clip: dict[str, Any],
    parts: bool,
) -> None:
    path = make_clip(name, **clip)
    (video,) = find_videos([str(path)])
    worker = make_local(keep=("labels", "overlay", "stats"))
    works = Cutting(0.5).works(video)
    assert (len(works) > 1) == parts
    records = [worker.run(work).record for work in works]
    assert [record.error for record in records] == [""] * len(works)
    record = join(worker._setup.store, worker._setup.options, works) if parts else records[0]
    expected, out = single(path), tmp_path / "out" / video.name
    np.testing.assert_array_equal(read_labels(out / "labels.mkv"), expected)
    assert (record.frames, record.height, record.width) == (len(expected), *expected[0].shape)
    with VideoSource(path) as source:
        times = [frame.pts for frame in source]
    np.testing.assert_array_equal(pq.read_table(out / "parts.parquet").column("pts"), times)
    for file in ("labels.mkv", "overlay.mp4"):
        with av.open(str(out / file)) as opened:
            seen = [float(frame.pts * frame.time_base) for frame in opened.decode(video=0)]
        np.testing.assert_allclose(seen, times, atol=6e-4)


def test_a_worker_that_is_stopped_leaves_nothing(
    make_local: Callable[..., Worker], cut_clips: Callable[..., list[Path]], tmp_path: Path
) -> None:
    (clip,) = cut_clips(1, frames=400)
    (video,) = find_videos([str(clip)])
    worker = make_local()
    outcomes: list[Outcome] = []
    run = threading.Thread(target=lambda: outcomes.append(worker.run(Work(video))))
    run.start()
    eventually(lambda: worker.progress().frames > 3)
    worker.stop()
    run.join()
    assert outcomes[0].record.status == FAILED
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_wrong_keys_are_one_line(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not place.startswith("s3:"):
        pytest.skip("a disk has no keys")
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(RtparseError) as refused:
        Store(f"{place}/out").prepare()
    assert "redentials" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_keys_that_the_server_refuses_are_one_line(place: str) -> None:
    if not place.startswith("s3:"):
        pytest.skip("a disk has no keys")
    guard = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
    httpx.post(guard, content=b"0", trust_env=False)  # from now on keys are looked at, and nobody made these
    try:
        with pytest.raises(RtparseError) as refused:
            Store(f"{place}/out").prepare()
    finally:
        httpx.post(guard, content=b"inf", trust_env=False)
    assert "Access Key" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
