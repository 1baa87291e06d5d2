"""What was written down is found again, also by another file system and after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch.job import DONE, FAILED, Options, Record, Video, failed
from rtparse.batch.manifest import FRAGMENTS, MANIFEST, Manifest
from rtparse.batch.store import Store
from rtparse.errors import SinkError, UsageError

OPTIONS = Options("sha")
VIDEO = Video("/a.mp4", "a-1", "v1")


def done(video: Video) -> Record:
    return replace(failed(video, OPTIONS.key(video), "sha", ""), status=DONE, frames=7)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    uri = str(tmp_path / "out") if request.param == "local" else f"memory://{tmp_path.name}"
    made = Store(uri)
    made.prepare()
    return made


def test_records_survive_a_driver_that_does_not_come_to_its_end(store: Store) -> None:
    manifest = Manifest(store)
    manifest.add(failed(VIDEO, OPTIONS.key(VIDEO), "sha", "no video"))
    manifest.flush()
    assert Manifest(store).done(VIDEO, OPTIONS) is None
    manifest.add(done(VIDEO))
    manifest.flush()
    assert len(store.names(FRAGMENTS)) == 1
    assert Manifest(store).done(VIDEO, OPTIONS) is None, "its folder is gone"
    assert store.names(FRAGMENTS) == [], "those of a driver that was killed become one file"
    store.write(f"{VIDEO.name}/record.json", b"{}")
    found = Manifest(store)
    assert found.done(VIDEO, OPTIONS) == done(VIDEO)
    assert found.done(replace(VIDEO, version="v2"), OPTIONS) is None
    assert found.done(VIDEO, replace(OPTIONS, smooth=0.5)) is None
    found.add(replace(done(VIDEO), video="/b.mp4", name="b-1", status=FAILED))
    found.compact()
    assert store.names(FRAGMENTS) == []
    with store.fetched(MANIFEST) as path:
        rows = pq.read_table(path).to_pylist()
    assert [(row["video"], row["status"], row["frames"]) for row in rows] == [
        ("/a.mp4", DONE, 7),
        ("/b.mp4", FAILED, 7),
    ]
    assert Manifest(store).done(VIDEO, OPTIONS)


def test_a_manifest_that_is_none_is_named(store: Store) -> None:
    store.write(MANIFEST, b"no table")
    with pytest.raises(SinkError, match=r"manifest.parquet is no manifest of rtparse"):
        Manifest(store)


def test_files_of_a_store(store: Store) -> None:
    with store.staging() as folder:
        (folder / "video").write_bytes(b"whole")
        store.put(folder / "video", "a/video")
        (folder / "video").write_bytes(b"newer")
        store.put(folder / "video", "a/video")
    assert not folder.exists()
    assert (store.read("a/video"), store.read("a/none")) == (b"newer", None)
    assert store.names("a") == ["video"]
    store.write("a/record.json", b'{"key": 1}')
    assert store.read_json("a/record.json") == {"key": 1}
    assert store.read_json("a/video") is None
    store.remove("a")
    store.remove("a")
    assert store.names("a") == []


def test_a_store_nobody_knows() -> None:
    with pytest.raises(UsageError, match="in no file system"):
        Store("nonsense://a")
