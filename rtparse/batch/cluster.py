"""The Ray cluster: one that runs already, or one on this machine; and how many workers it has room for."""

from __future__ import annotations

import logging
import os
import signal
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtparse.batch.store import brief
from rtparse.engines.cores import physical_cores
from rtparse.errors import ClusterError, MissingDependencyError, RtparseError, UsageError

CONNECT_SECONDS = 5.0
LOCAL_STORE_BYTES = 256 * 2**20
"""Of the object store of a local cluster, which holds the model and little else."""


@dataclass(frozen=True)
class Shape:
    """What a worker reserves."""

    cpus: float
    gpus: float = 0.0


@contextmanager
def connected(ray_spec: str, local_cpus: int, *, verbose: bool = False) -> Iterator[Any]:
    """Connect to Ray and yield the module; at the end the driver disconnects, and a local cluster ends.

    ray_spec: "auto" for the cluster that RAY_ADDRESS names or that runs on this machine, else a local one; "local"; or
        an address, host:port. local_cpus: CPUs that a local cluster is told to have.

    Nothing is told to Ray's makers, no dashboard is started, its log stays in its files, and a handler of SIGTERM stays
    what it was.
    Raises MissingDependencyError without Ray, UsageError for an address of another form, ClusterError; errors of Ray
    within the block become ClusterError too.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a worker without a GPU must see none
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(error.name or "ray", "cluster") from None
    quiet: dict[str, Any] = {"log_to_driver": verbose, "logging_level": logging.INFO if verbose else logging.ERROR}
    local: dict[str, Any] = {
        "num_cpus": local_cpus,
        "include_dashboard": False,
        "object_store_memory": LOCAL_STORE_BYTES,
    }
    ours, on_sigterm = not ray.is_initialized(), signal.getsignal(signal.SIGTERM)
    if ray_spec not in ("auto", "local"):
        _check_reachable(ray_spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            if not ours:
                pass
            elif ray_spec == "local":
                ray.init(address="local", **local, **quiet)
            elif ray_spec == "auto":
                _connect_or_start(ray, local, quiet)
            else:
                ray.init(address=ray_spec, **quiet)
        except RtparseError:
            raise
        except Exception as error:  # Ray raises bare ones too
            raise ClusterError(
                f"Ray at {ray_spec} cannot be used ({str(error).strip().splitlines()[0]})",
                "check that `ray status` works there, and that it is the same version of Ray and Python",
            ) from None
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.ERROR)
    if ours and callable(on_sigterm):  # Ray's would end the process in the middle of a write
        signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the cluster failed ({brief(error)})", "run the command again to go on") from None
    finally:
        if ours:
            ray.shutdown()


def local_cpus(workers: int | None, cpus: int) -> int:
    """CPUs that a local cluster needs for so many workers, at least the machine's."""
    return max(physical_cores(), (workers or 1) * cpus)


def wanted(nodes: Sequence[Mapping[str, float]], cpus: int, gpus: float, most: int | None) -> list[Shape]:
    """The workers that the nodes have room for, those with a GPU first.

    nodes: the resources of each, as Ray tells them. cpus, gpus: of a worker; with gpus every worker that finds a GPU
        has that share of it, and those that find none run on CPUs. most: as many and no more; where there is no room
        for them they are asked for all the same, so that an autoscaling cluster grows.
    """
    with_gpu, without = 0, 0
    for node in nodes:
        room = int(node.get("CPU", 0) // cpus)
        of_node = min(room, int((node.get("GPU", 0) + 1e-9) // gpus)) if gpus else 0
        with_gpu += of_node
        without += room - of_node
    shapes = [Shape(cpus, gpus)] * with_gpu + [Shape(cpus)] * without
    if most is None:
        return shapes
    return (shapes + [Shape(cpus, gpus)] * most)[:most]


def _connect_or_start(ray: Any, local: dict[str, Any], quiet: dict[str, Any]) -> None:
    address = os.environ.get("RAY_ADDRESS", "")
    if address and address != "local":
        _check_reachable(address)
        ray.init(address=address, **quiet)
        return
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(address="local", **local, **quiet)


def _check_reachable(address: str) -> None:
    """Ray waits for minutes where nobody answers."""
    if address.startswith("ray://"):
        raise UsageError(
            f"got --ray {address}", "run the command on a node of the cluster (`ray job submit`), with --ray auto"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise UsageError(f"got --ray {address}", "expected auto, local, or host:port such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error})", "check the address; `ray start --head` prints it"
        ) from None
