"""`rtparse batch` from outside: a driver that is killed, and everything that can be wrong around a run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest

from rtparse.cli import cli
from rtparse.errors import RtparseError

from .conftest import PATIENCE, TOO_BUSY, Nodes, eventually, read_labels

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tiny_onnx: Path) -> Callable[..., list[str]]:
    def make(*arguments: object) -> list[str]:
        fixed = ["--engine", tiny_onnx, "--backend", "onnxruntime"]
        return [sys.executable, "-m", "rtparse", "batch", *map(str, [*arguments, *fixed])]

    return make


@pytest.fixture
def batch(
    ray: Any, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command, in this process, which is connected to the cluster: its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        given = ["batch", *map(str, arguments), "--engine", str(tiny_onnx), "--backend", "onnxruntime"]
        code = cli.main(given, standalone_mode=False)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_driver_is_killed_and_the_next_one_does_the_rest(
    nodes: Nodes, command: Callable[..., list[str]], batch: Run, cut_clips: Callable[..., list[Path]], tmp_path: Path
) -> None:
    clips = cut_clips(6, frames=60)
    options = ("clips", "--out", "out", "--ray", nodes.address, "--keep", "labels,stats")
    driver = subprocess.Popen(command(*options), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: any((tmp_path / "out").glob("clip*/record.json")) or driver.poll() is not None)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("clip*/record.json")}
    assert 1 <= len(before) < 6
    code, said = batch(*options, "--json", "report.json")
    assert code == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["skipped"] >= len(before)  # its workers are ended by Ray, which needs a moment to notice
    assert report["skipped"] + report["done"] == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert sorted(row["video"] for row in rows) == sorted(map(str, clips))
    for row in rows:
        assert len(read_labels(tmp_path / "out" / row["name"] / "labels.mkv")) == 60
    assert not (tmp_path / "out" / ".rtparse").exists()


# A cluster of its own takes long to start on a busy machine.
@pytest.mark.parametrize("where", ["cluster", *(["local"] if "RTPARSE_BATCH_LOCAL" in os.environ else [])])
def test_ctrl_c(
    nodes: Nodes, command: Callable[..., list[str]], cut_clips: Callable[..., list[Path]], tmp_path: Path, where: str
) -> None:
    cut_clips(1, frames=2000)
    address = nodes.address if where == "cluster" else "local"
    driver = subprocess.Popen(
        command("clips", "--out", "out", "--ray", address, "--workers", 1, "--keep", "stats", "--segment", 0),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env=os.environ | {"RAY_ADDRESS": ""},
    )
    staging = tmp_path / "out" / ".rtparse" / "staging"
    try:
        eventually(lambda: any(staging.glob("*/.parts.parquet*")) or driver.poll() is not None)
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does it: to all of its processes
        _, stderr = driver.communicate(timeout=PATIENCE)
    finally:
        driver.kill()
    if TOO_BUSY in stderr:
        pytest.skip("the machine is too busy to start a node of Ray")
    assert driver.returncode == 130, stderr
    assert "interrupted: run the command again" in stderr
    assert "Traceback" not in stderr
    assert not list((tmp_path / "out").glob("clip*"))
    assert not list(staging.glob("*/.parts.parquet*")), "its worker left nothing"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        # nobody answers there
        (["clips", "--out", "out", "--ray", "127.0.0.1:{port}"], 1, "no Ray cluster answers at 127.0.0.1:"),
        (["clips", "--out", "out", "--ray", "ray://127.0.0.1:10001"], 2, "on a node of the cluster"),
        (["clips", "--out", "out", "--ray", "nonsense"], 2, "expected auto, local, or host:port"),
        # below a file there is no folder
        (["clips", "--out", "file/out"], 1, "cannot be written"),
        (["clips", "--out", "nonsense://out"], 2, "in no file system"),
        (["none.mp4", "--out", "out"], 2, "there is no file or folder"),
        (["empty", "--out", "out"], 2, "there is no video in"),
        (["table.csv", "--out", "out", "--column", "file"], 2, "has no column 'file'"),
        (["clips", "--out", "out", "--keep", "masks"], 2, "choose from: labels, overlay, stats"),
        (["clips", "--out", "out", "--plan", "x.plan"], 2, "--gpus-per-worker"),
        (["clips", "--out", "out", "--plan", "x.plan", "--gpus-per-worker", "1"], 2, "no file x.plan"),
        (["clips", "--out", "out", "--size", "50x50"], 2, "multiples of 16"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    tiny_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    closed_port: int,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"not looked at")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("path\na.mp4\n")
    given = [each.format(port=closed_port) for each in arguments]
    with pytest.raises((RtparseError, click.ClickException)) as refused:
        cli.main(["batch", *given, "--engine", str(tiny_onnx), "--backend", "onnxruntime"], standalone_mode=False)
    assert refused.value.exit_code == code
    error = refused.value
    assert message in (error.format_message() if isinstance(error, click.ClickException) else str(error))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small disk, which root may")
def test_no_space_left_in_the_middle(
    nodes: Nodes, batch: Run, cut_clips: Callable[..., list[Path]], tmp_path: Path
) -> None:
    clips = cut_clips(3, frames=50)
    (tmp_path / "out").mkdir()  # a manifest has room there, and one video
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path / "out")], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        options = ("clips", "--out", "out", "--ray", nodes.address, "--retries", 0)
        code, said = batch(*options)
        assert code == 1
        assert "No space left" in said
        for folder in (tmp_path / "out").glob("clip*"):
            assert len(read_labels(folder / "labels.mkv")) == 50
        subprocess.run(["mount", "-o", "remount,size=20m", str(tmp_path / "out")], check=True)
        code, said = batch(*options)
        assert code == 0, said
        assert len(list((tmp_path / "out").glob("clip*/labels.mkv"))) == len(clips)
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)
