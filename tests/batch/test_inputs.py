"""What names videos, and what their folders are called."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch.inputs import Fetcher, find_videos, folder_name
from rtparse.errors import RtparseError, SourceError, UsageError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/clip.mp4", "b/clip.mp4", "b/c/deep.MKV", "b/notes.md", "b/.hidden.mp4", "odd name.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    (tmp_path / "list.txt").write_text("# mine\na/clip.mp4\n\nhttp://127.0.0.1:1/far.mp4\nmissing.mp4\n")
    (tmp_path / "table.csv").write_text("id,path\n1,b/clip.mp4\n2,\n")
    pq.write_table(pa.table({"video": ["a/clip.mp4", "b/clip.mp4"]}), tmp_path / "table.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (["a/clip.mp4"], ["a/clip.mp4"]),
        (["b"], ["b/c/deep.MKV", "b/clip.mp4"]),
        # twice the same is one video
        (["a", "a/clip.mp4", "*/clip.mp4"], ["a/clip.mp4", "b/clip.mp4"]),
        (["**/*.mp4"], ["a/clip.mp4", "b/clip.mp4", "odd name.mp4"]),
        # whatever it is called
        (["b/notes.md"], ["b/notes.md"]),
        (["list.txt"], ["a/clip.mp4", "http://127.0.0.1:1/far.mp4", "missing.mp4"]),
        (["table.csv"], ["b/clip.mp4"]),
    ],
)
def test_inputs(archive: Path, inputs: list[str], found: list[str]) -> None:
    uris = [video.uri for video in find_videos(inputs)]
    assert uris == [name if "://" in name else str(archive / name) for name in found]


def test_a_column_of_a_table(archive: Path) -> None:
    assert len(find_videos(["table.parquet"], "video")) == 2
    with pytest.raises(UsageError, match=r"no column 'path'; choose with --column: video"):
        find_videos(["table.parquet"])


def test_one_name_in_two_folders_is_two_folders_that_stay(archive: Path) -> None:
    names = [video.name for video in find_videos(["**/clip.mp4"])]
    assert len(set(names)) == 2
    assert all(name.startswith("clip-") for name in names)
    assert [video.name for video in find_videos(["b/clip.mp4"])] == names[1:]
    assert folder_name("s3://bucket/Ünïcode & co.mov?versionId=1").startswith("n-code-co-")


def test_a_file_that_is_written_again_has_another_version(archive: Path) -> None:
    (before,) = find_videos(["a/clip.mp4"])
    (archive / "a/clip.mp4").write_bytes(b"other")
    for inputs in (["a/clip.mp4"], ["a"], ["list.txt"]):
        after = find_videos(inputs)[0]
        assert after.uri == before.uri
        assert after.version not in ("", before.version)


def test_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/archive/one.mp4", b"one")
    memory.pipe("/archive/two.webm", b"two")
    videos = find_videos(["memory://archive"])
    assert [video.uri for video in videos] == ["memory:///archive/one.mp4", "memory:///archive/two.webm"]
    fetcher = Fetcher()
    path = fetcher.fetch(videos[0].uri)
    assert (path.read_bytes(), path.suffix) == (b"one", ".mp4")
    assert fetcher.fetch(videos[0].uri) == path
    assert fetcher.fetch(videos[1].uri).read_bytes() == b"two"
    assert not path.exists()
    fetcher.close()
    with pytest.raises(SourceError, match=r"memory://.*cannot be read"):
        fetcher.fetch("memory://archive/three.mp4")


@pytest.mark.parametrize("uri", ["nonsense://a.mp4", "http://127.0.0.1:1/a.mp4", "s3://bucket/a.mp4"])
def test_what_cannot_be_reached_is_one_line(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "wrong"),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(RtparseError) as refused:
        Fetcher().fetch(uri)
    assert len(str(refused.value).splitlines()) == 1
