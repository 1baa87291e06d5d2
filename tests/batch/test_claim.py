"""Two runs never work on one output, and one that was killed keeps nobody out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch import claim
from rtparse.batch.claim import CLAIM, Claim
from rtparse.batch.store import WORK, Store
from rtparse.errors import UsageError

from .conftest import eventually


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.05)
    made = Store(str(tmp_path / "out"))
    made.prepare()
    return made


def held_by(host: str, pid: int) -> bytes:
    return json.dumps({"run": "other", "host": host, "pid": pid, "beat": 1}).encode()


def test_a_second_run_is_refused_until_the_first_has_ended(store: Store) -> None:
    with Claim(store), pytest.raises(UsageError, match=f"in use by a run on .*, process {os.getpid()}; wait for its"):
        Claim(store)
    assert not (Path(store.uri) / WORK).exists()
    Claim(store).close()
    assert "rtparse-claim" not in {thread.name for thread in threading.enumerate()}


def test_a_run_whose_process_is_gone_holds_nothing(store: Store) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    store.write(CLAIM, held_by(os.uname().nodename, ended.pid))
    Claim(store).close()


def test_a_run_of_another_machine_that_is_silent_holds_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "DEAD_SECONDS", 0.2)
    store.write(CLAIM, held_by("elsewhere", 1))
    Claim(store).close()


def test_a_run_that_was_taken_for_dead_learns_it(store: Store) -> None:
    with Claim(store) as suspended:
        store.write(CLAIM, held_by("elsewhere", 1))
        eventually(suspended.lost.is_set)
    assert store.read_json(CLAIM), "it is the other one's"
