"""What names videos, and what their folders are called."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch.inputs import Fetcher, find_videos, opened
from rtparse.errors import RtparseError, SourceError, UsageError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/clip.mp4", "b/clip.mp4", "b/c/deep.MKV", "b/notes.md", "b/.hidden.mp4", "odd name.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    (tmp_path / "windows.lst").write_bytes(b"\xef\xbb\xbfa/clip.mp4\r\n# no\r\n  odd name.mp4  \r\n")
    (tmp_path / "clip[1] *.mp4").write_bytes(b"x")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "clip.mp4").symlink_to("../a/clip.mp4")
    (tmp_path / "links" / "broken.mp4").symlink_to("nothing")
    (tmp_path / "links" / "folder").symlink_to("../b")
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
        (["a", "a/clip.mp4", "[ab]/clip.mp4"], ["a/clip.mp4", "b/clip.mp4"]),
        (["[ab]/*.mp4", "o*.mp4"], ["a/clip.mp4", "b/clip.mp4", "odd name.mp4"]),
        (["b/**/*.[mM]*"], ["b/c/deep.MKV", "b/clip.mp4", "b/notes.md"]),
        # whatever it is called
        (["b/notes.md"], ["b/notes.md"]),
        (["list.txt"], ["a/clip.mp4", "http://127.0.0.1:1/far.mp4", "missing.mp4"]),
        (["table.csv"], ["b/clip.mp4"]),
        # written on Windows
        (["windows.lst"], ["a/clip.mp4", "odd name.mp4"]),
        # the same file by another way
        (["a/../a/clip.mp4", "file://{archive}/a/clip.mp4"], ["a/clip.mp4"]),
        # links to files count, those to folders are not followed, one to nothing is a video that fails
        (["links"], ["links/broken.mp4", "links/clip.mp4"]),
        (["clip[1] *.mp4"], ["clip[1] *.mp4"]),
    ],
)
def test_inputs(archive: Path, inputs: list[str], found: list[str]) -> None:
    uris = [video.uri for video in find_videos([each.format(archive=archive) for each in inputs])]
    assert uris == [name if "://" in name else str(archive / name) for name in found]


def test_a_column_of_a_table(archive: Path) -> None:
    assert len(find_videos(["table.parquet"], "video")) == 2
    with pytest.raises(UsageError, match=r"no column 'path'; choose with --column: video"):
        find_videos(["table.parquet"])


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("latin.csv", b"path\nd\xe9.mp4\n", None, ""),
        ("broken.parquet", b"no table", SourceError, "cannot be read"),
        ("missing.csv", None, UsageError, "there is no file"),
        ("no.txt", b"# nothing\n", UsageError, "there is no video in"),
    ],
)
def test_odd_tables(
    archive: Path, name: str, content: bytes | None, error: type[RtparseError] | None, message: str
) -> None:
    if content is not None:
        (archive / name).write_bytes(content)
    if error is None:
        assert os.fsencode(find_videos([name])[0].uri).endswith(b"/d\xe9.mp4")
        return
    with pytest.raises(error, match=message):
        find_videos([name])


def test_a_column_of_other_things(archive: Path) -> None:
    pq.write_table(pa.table({"path": [b"a/clip.mp4"]}), archive / "bytes.parquet")
    with pytest.raises(UsageError, match="holds bytes; expected text"):
        find_videos(["bytes.parquet"])


@pytest.mark.parametrize("given", ["", " ", "zip://a.mp4::archive.zip"])
def test_what_names_nothing(given: str) -> None:
    with pytest.raises(UsageError):
        find_videos([given])


@pytest.fixture
def website(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The archive, as a server shows it that sends whole files only."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(archive)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_videos_of_a_website(website: str, archive: Path) -> None:
    (video,) = find_videos([f"{website}/a/clip.mp4?id=1"])
    assert (video.uri, video.version) != ("", "")
    fetcher = Fetcher()
    assert fetcher.fetch(video.uri).read_bytes() == (archive / "a/clip.mp4").read_bytes()
    fetcher.close()
    assert [video.uri for video in find_videos([f"{website}/a/*.mp4"])] == [f"{website}/a/clip.mp4"]
    assert find_videos([f"{website}/windows.lst"])[0].uri == f"{website}/a/clip.mp4"
    with opened(video.uri) as file, pytest.raises(ValueError, match="range"):  # noqa: PT012
        file.seek(5)  # type: ignore[union-attr]
        file.read(1)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"there is no file or folder http"):
        find_videos([f"{website}/none.mp4"])
    with pytest.raises(SourceError, match=r"http://127.0.0.1:1/a.mp4 cannot be read"):
        find_videos(["http://word@127.0.0.1:1/a.mp4?sig=word"])


def test_one_name_in_two_folders_is_two_folders_that_stay(archive: Path) -> None:
    names = [video.name for video in find_videos(["[ab]/clip.mp4"])]
    assert len(set(names)) == 2
    assert all(name.startswith("clip-") for name in names)
    assert [video.name for video in find_videos(["b/clip.mp4"])] == names[1:]


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
