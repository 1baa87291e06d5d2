"""One run at a time works on an output: two would remove each other's unfinished files, and rows of the manifest."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from contextlib import suppress
from threading import Event, Thread

from rtparse.batch.store import WORK, Store
from rtparse.closing import Closing
from rtparse.errors import SinkError, UsageError

CLAIM = f"{WORK}/run.json"
BEAT_SECONDS = 3.0
DEAD_SECONDS = 15.0
"""A run whose beat does not change for so long has ended without a word."""

_log = logging.getLogger("rtparse")


class Claim(Closing):
    """Holds an output for this run, by a file there that a thread of its own writes again every few seconds.

    lost: set when another run has taken the output, which believed this one dead: a suspended machine, for instance.
    """

    def __init__(self, store: Store) -> None:
        """Raises UsageError while another run is at work there, SinkError.

        A run of this machine whose process is gone holds nothing; one of another machine is watched for DEAD_SECONDS.
        """
        self.lost = Event()
        self._store = store
        self._token = secrets.token_hex(8)
        self._beats = 0
        self._closed = Event()
        _wait_for_its_end(store)
        self._write()
        if self._other():  # of two that began at once, the one that wrote last goes on
            raise _taken(store, store.read_json(CLAIM) or {})
        self._thread = Thread(target=self._run, name="rtparse-claim", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let another run begin."""
        self._closed.set()
        self._thread.join()
        if not self.lost.is_set():
            self._store.remove(CLAIM)
        self._store.tidy()

    def _run(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            try:
                if self._other():
                    self.lost.set()
                    return
                self._write()
            except SinkError as error:
                _log.info("this run cannot say that it goes on: %s", error)

    def _other(self) -> bool:
        claim = self._store.read_json(CLAIM)
        return claim is not None and claim.get("run") != self._token

    def _write(self) -> None:
        self._beats += 1
        fields = {"run": self._token, "host": socket.gethostname(), "pid": os.getpid(), "beat": self._beats}
        self._store.write(CLAIM, json.dumps(fields).encode())


def _wait_for_its_end(store: Store) -> None:
    seen = store.read_json(CLAIM)
    if seen is None or _gone(seen):
        return
    _log.warning("%s is held by %s; looking whether that goes on", store.uri, _holder(seen))
    until = time.monotonic() + DEAD_SECONDS
    while time.monotonic() < until:
        time.sleep(min(1.0, DEAD_SECONDS / 5))
        now = store.read_json(CLAIM)
        if now is None:
            return
        if now != seen:
            raise _taken(store, now)


def _gone(claim: dict[str, object]) -> bool:
    """Whether it is of a process of this machine that has ended."""
    pid = claim.get("pid")
    if claim.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return False
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
    return False


def _holder(claim: dict[str, object]) -> str:
    return f"a run on {claim.get('host')}, process {claim.get('pid')}"


def _taken(store: Store, claim: dict[str, object]) -> UsageError:
    return UsageError(f"{store.uri} is in use by {_holder(claim)}", "wait for its end, or give another --out")
