"""What the pool makes of workers that do not start, as Ray tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ray import exceptions

from rtparse.batch.cluster import Shape
from rtparse.batch.pool import Pool
from rtparse.errors import ClusterError

OF_THE_NODE = """The actor died unexpectedly before finishing this task.
	The actor died because its node has died. Node Id: 36ace2367fb0ba6260dc8fb0811bf9a83b787e2ff1d7cbc9a65f62bb
	the actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats
	The actor never ran - it was cancelled before it started running."""
OF_ITS_OWN = """The actor died unexpectedly before finishing this task.
	The actor died unexpectedly because its worker process exited with connection error code 2."""


class Cluster:
    """A Ray whose workers all die with the same words before they are ready."""

    exceptions = exceptions

    def __init__(self, words: str) -> None:
        self.words, self.started = words, 0

    def make(self, shape: Shape) -> Any:
        self.started += 1
        return self

    @property
    def about(self) -> Any:
        return self

    def remote(self) -> object:
        return object()

    def wait(self, refs: Sequence[object], num_returns: int, timeout: float) -> tuple[list[object], list[object]]:
        return list(refs), []

    def get(self, ref: object) -> Any:
        raise exceptions.RayError(self.words)

    def kill(self, handle: Any, no_restart: bool) -> None:
        assert handle is self


def test_a_machine_that_died_is_no_worker_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtparse.batch.pool.LOOK_SECONDS", 0.0)
    broken, dying = Cluster(OF_ITS_OWN), Cluster(OF_THE_NODE)
    pools = [Pool(each, each.make, lambda: [Shape(1)] * 2) for each in (broken, dying)]
    for pool in pools:
        pool.wait(0.0)  # two workers, as on two machines that died together
    with pytest.raises(ClusterError, match="no worker can start"):
        pools[0].wait(0.0)
    pools[1].wait(0.0)
    assert dying.started == 4
