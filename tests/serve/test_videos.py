"""A visitor's video: sent, watched while it is parsed, fetched, removed; and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.engines.fake import FakeEngine
from rtparse.serve import jobs
from rtparse.serve.limits import Limits
from rtparse.serve.sandbox import DecodeError, UploadedVideo

HTTP = httpx.Client(verify=False, timeout=30)  # one for all: to make one takes longer than most requests

Serve = Callable[..., str]
MakeClip = Callable[..., Path]
SIZE_WH = (96, 64)
GREEN = (0, 255, 0)


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """12 grey frames of 96x64 at 10 FPS, with sound."""
    grey = np.full((SIZE_WH[1], SIZE_WH[0], 3), 128, np.uint8)
    return make_clip("clip.mp4", picture=lambda i: grey, frames=12, fps=10, audio="aac")


class Gate:
    """A network that waits for leave before each batch."""

    def __init__(self) -> None:
        self.leave = threading.Semaphore(0)
        self.entered = threading.Event()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.leave.acquire(timeout=30)
        return np.zeros((len(batch), 20, batch.shape[2] // 2, batch.shape[3] // 2), np.float32)


@pytest.fixture
def gate() -> Iterator[tuple[Gate, Parser]]:
    made = Gate()
    with Parser(FakeEngine(made), size=(64, 96)) as parser:
        yield made, parser
        made.leave.release(1000)


def upload(url: str, file: Path | bytes, **query: object) -> httpx.Response:
    data = file if isinstance(file, bytes) else file.read_bytes()
    headers = {"Content-Type": "video/mp4"}
    return HTTP.post(f"{url}/api/videos", content=data, params=query, headers=headers, timeout=30)  # type: ignore[arg-type]


def wait_for(url: str, name: str, *states: str) -> dict[str, object]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status: dict[str, object] = HTTP.get(f"{url}/api/videos/{name}").json()
        if status["state"] in states:
            return status
        time.sleep(0.02)
    raise AssertionError(f"still {status}")


def test_a_video_is_parsed_and_can_be_fetched(url: str, clip: Path, tmp_path: Path) -> None:
    sent = upload(url, clip, view="labels", classes="face")
    assert sent.status_code == 202
    name = sent.json()["id"]
    assert sent.headers["location"] == f"/api/videos/{name}"
    done = wait_for(url, name, "done", "failed")
    assert done == {"id": name, "state": "done", "frames": 12, "total": 12, "progress": 1.0, "error": None}
    result = HTTP.get(f"{url}/api/videos/{name}/result")
    assert result.headers["content-type"] == "video/mp4"
    assert result.headers["content-disposition"] == 'attachment; filename="parsed.mp4"'
    (tmp_path / "fetched.mp4").write_bytes(result.content)
    with av.open(str(tmp_path / "fetched.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["h264"]
        assert len(container.streams.audio) == 1
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 12
    assert pictures[0].shape == (*SIZE_WH[::-1], 3)
    lit = pictures[0].max(2) > 60
    assert lit[34:46, 34:62].all()  # the face, where the fake engine sees it
    assert not lit[18:30, 48:62].any()  # the hair above it, which was not asked for
    part = HTTP.get(f"{url}/api/videos/{name}/result", headers={"Range": "bytes=4-7"})  # as players do that seek
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_progress_is_told_and_the_result_only_at_the_end(serve: Serve, gate: tuple[Gate, Parser], clip: Path) -> None:
    network, parser = gate
    url = serve(parser=parser)
    name = upload(url, clip).json()["id"]
    assert network.entered.wait(30)
    running = wait_for(url, name, "running")
    assert (running["frames"], running["progress"]) == (0, 0)
    early = HTTP.get(f"{url}/api/videos/{name}/result")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "unfinished")
    network.leave.release(4)
    seen = running
    while seen["frames"] == 0:
        seen = wait_for(url, name, "running")
    assert 0 < seen["progress"] < 1  # type: ignore[operator]
    network.leave.release(1000)
    assert wait_for(url, name, "done")["progress"] == 1


def test_a_video_that_is_removed_ends_at_once_and_lets_the_next_one_in(
    serve: Serve, gate: tuple[Gate, Parser], clip: Path
) -> None:
    network, parser = gate
    url = serve(parser=parser, limits=Limits(videos=2))
    first, second = upload(url, clip).json()["id"], upload(url, clip).json()["id"]
    assert network.entered.wait(30)
    assert wait_for(url, second, "waiting")["progress"] is None
    third = upload(url, clip)
    assert (third.status_code, third.json()["error"]["code"]) == (503, "busy")
    assert HTTP.delete(f"{url}/api/videos/{first}").status_code == 204
    assert HTTP.get(f"{url}/api/videos/{first}").status_code == 404
    assert HTTP.delete(f"{url}/api/videos/{first}").status_code == 404
    network.leave.release(1000)
    assert wait_for(url, second, "done", "failed")["state"] == "done"


def test_only_so_many_results_are_kept_and_only_for_a_while(serve: Serve, clip: Path) -> None:
    url = serve(limits=Limits(results=1))
    first = upload(url, clip).json()["id"]
    wait_for(url, first, "done")
    second = upload(url, clip).json()["id"]
    assert HTTP.get(f"{url}/api/videos/{first}").status_code == 404
    assert wait_for(url, second, "done")["state"] == "done"

    url = serve(limits=Limits(lifetime=0.0))
    name = upload(url, clip).json()["id"]
    deadline = time.monotonic() + 20
    while HTTP.get(f"{url}/api/videos/{name}").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("query", "kind", "status", "code"),
    [
        ({"classes": "face,nose"}, "video/mp4", 422, "parameter"),
        ({"alpha": "1.5"}, "video/mp4", 422, "parameter"),
        ({"smooth": "1"}, "video/mp4", 422, "parameter"),
        ({"view": "mirror"}, "video/mp4", 422, "parameter"),
        ({}, "text/plain", 415, "media-type"),
    ],
)
def test_wrong_options_are_refused_before_the_upload(
    url: str, query: dict[str, str], kind: str, status: int, code: str
) -> None:
    answer = HTTP.post(f"{url}/api/videos", content=b"x", params=query, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/hostname\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no video at all", "container"),
        (PLAYLIST, "container"),  # would have the server read its own files, and ask other machines
        (CONCAT, "container"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(200), "container"),
        (b"GIF89a", "container"),
    ],
)
def test_what_is_no_video_fails_in_words(url: str, data: bytes, code: str) -> None:
    name = upload(url, data).json()["id"]
    failed = wait_for(url, name, "failed")
    assert failed["error"]["code"] == code  # type: ignore[index]
    result = HTTP.get(f"{url}/api/videos/{name}/result")
    assert (result.status_code, result.json()["error"]["code"]) == (409, code)


def test_a_video_that_is_cut_off_gives_what_it_has(url: str, make_clip: MakeClip) -> None:
    whole = make_clip("clip.mkv", frames=30).read_bytes()
    name = upload(url, whole[: len(whole) * 2 // 3]).json()["id"]
    done = wait_for(url, name, "done", "failed")
    assert done["state"] == "done"
    assert 0 < done["frames"] < 30  # type: ignore[operator]


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(serve: Serve, clip: Path) -> None:
    url = serve(limits=Limits(pixels=1000))
    name = upload(url, clip).json()["id"]
    assert wait_for(url, name, "failed")["error"]["code"] == "pixels"  # type: ignore[index]


def test_a_video_may_take_only_so_long(
    serve: Serve, gate: tuple[Gate, Parser], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, parser = gate
    later = 0.0
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later))
    url = serve(parser=parser)
    name = upload(url, clip).json()["id"]
    assert network.entered.wait(30)
    later = Limits().video_seconds + 1
    network.leave.release(1000)
    assert wait_for(url, name, "failed")["error"]["code"] == "time"  # type: ignore[index]


def test_too_many_bytes_are_refused_and_leave_nothing(
    serve: Serve, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    url = serve(limits=Limits(video_bytes=1000))
    assert upload(url, clip).status_code == 413
    chunked = HTTP.post(f"{url}/api/videos", content=iter([bytes(2000)]), headers={"Content-Type": "video/mp4"})
    assert chunked.status_code == 413
    assert not list((tmp_path / "temporary").glob("*/*"))


def test_a_disk_without_room_takes_no_place_from_later_videos(
    serve: Serve, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = serve(limits=Limits(videos=1))
    (folder,) = tmp_path.glob("rtparse-serve-*")
    folder.rmdir()
    for _ in range(2):
        refused = upload(url, clip)
        assert (refused.status_code, "no room on the disk" in refused.text) == (503, True)
    folder.mkdir()
    assert upload(url, clip).status_code == 202


def test_an_id_that_was_never_given(url: str) -> None:
    assert HTTP.get(f"{url}/api/videos/{'a' * 22}").status_code == 404
    assert HTTP.get(f"{url}/api/videos/{'a' * 22}/result").status_code == 404
    assert HTTP.get(f"{url}/api/videos/..%2f..%2fetc").status_code in (404, 422)
    assert HTTP.get(f"{url}/api/videos/short").status_code == 422


def test_the_sandbox_of_a_video_ends_with_it(clip: Path, tmp_path: Path) -> None:
    with UploadedVideo(clip, tmp_path / "sound.mka", Limits()) as source:
        source.open()
        assert source.info.frame_count == 12
        assert source.info.audio
        frames = iter(source)
        assert next(frames).size_hw == SIZE_WH[::-1]
        source.close()
        assert list(frames) == []


def test_a_video_whose_decoder_dies_is_refused(clip: Path, tmp_path: Path) -> None:
    with UploadedVideo(clip, tmp_path / "sound.mka", Limits()) as source:
        source.open()
        source._decoder._process.kill()
        with pytest.raises(DecodeError, match="failed"):
            for _ in source:
                pass
