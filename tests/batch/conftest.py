"""A Ray cluster of several nodes on this machine, clips cut from the example, and what one process makes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Beside other work the nodes of a test would starve.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name
# What every worker needs is imported before it is asked for.
os.environ["RAY_preload_python_modules"] = "rtparse.batch.worker"  # noqa: SIM112

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse import Parser
from rtparse.batch.job import Options
from rtparse.batch.models import Model, read_model
from rtparse.batch.plan import Cutting
from rtparse.batch.run import Plan
from rtparse.batch.store import Store
from rtparse.engines import open_engine

WALK = Path(__file__).parents[2] / "examples/walk.mp4"
STORE = 100 * 2**20
PATIENCE = 300.0
"""Seconds for what takes a few of them on an idle machine."""
TOO_BUSY = "timed out during startup"


@pytest.fixture(scope="session")
def walk() -> list[NDArray[np.uint8]]:
    """The frames of the example, 192x108."""
    return _frames(WALK)


def _frames(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as opened:
        frames = (frame.to_ndarray(format="bgr24") for frame in opened.decode(video=0))
        return [np.asarray(cv2.resize(frame, (192, 108), interpolation=cv2.INTER_AREA)) for frame in frames]


@pytest.fixture(scope="session")
def films(walk: list[NDArray[np.uint8]]) -> dict[str, list[NDArray[np.uint8]]]:
    """Pictures of 192x108: the example, a scene of our renderer that passes by, and a clip of the shared ones."""
    found = {"walk": walk}
    if (shared := Path(__file__).parents[2] / "../shared/media/asl-walk.mkv").is_file():
        found["shared"] = _frames(shared)[:100]
    rendered = pytest.importorskip("rtparse.train.synthetic", reason="the renderer needs the extra train")
    scene = rendered.render_scene(np.random.default_rng(3), (108, 240)).image_bgr
    found["rendered"] = [np.ascontiguousarray(scene[:, at : at + 192]) for at in range(0, 48, 2)]
    return found


@pytest.fixture
def cut_clips(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[Path]]:
    """Write clips into a folder, of one film after the other: cut_clips(count, frames=20, kinds=("walk",))."""

    def cut(count: int, frames: int = 20, suffix: str = ".mp4", kinds: Sequence[str] = ("walk",)) -> list[Path]:
        folder = "clips"
        (tmp_path / folder).mkdir(exist_ok=True)
        films = request.getfixturevalue("films") if len(kinds) > 1 else {}
        played = [films[kind] for kind in kinds if kind in films] or [request.getfixturevalue("walk")]
        paths = []
        for number in range(count):
            walk = played[number % len(played)]
            path = tmp_path / folder / f"clip{number:03d}{suffix}"
            with av.open(str(path), "w") as output:
                stream = output.add_stream("libx264", rate=25, options={"g": "10", "preset": "ultrafast"})
                stream.height, stream.width = walk[0].shape[:2]
                stream.pix_fmt = "yuv420p"
                for index in range(frames):
                    picture = walk[(number * 7 + index) % len(walk)]
                    output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
                output.mux(stream.encode(None))
            paths.append(path)
        return paths

    return cut


@pytest.fixture(scope="session")
def model(tiny_onnx: Path) -> Model:
    return read_model(str(tiny_onnx), backend="onnxruntime")


@pytest.fixture
def make_plan(model: Model, tmp_path: Path) -> Callable[..., Plan]:
    """A plan with the tiny network: make_plan(keep=("labels",), smooth=0.5, seconds=60, cpus=1, ...)."""

    def make(seconds: float = 0, **fields: Any) -> Plan:
        own = {name: fields.pop(name) for name in ("keep", "smooth", "size") if name in fields}
        options = Options(model.network.sha256, backend="onnxruntime", **own)
        return Plan(Store(str(tmp_path / "out")), options, model, Cutting(seconds, options.smooth), **fields)

    return make


@pytest.fixture
def single(tiny_onnx: Path) -> Callable[..., list[NDArray[np.uint8]]]:
    """The labels of a video as one process makes them."""

    def parse(path: Path, smooth: float = 0.0) -> list[NDArray[np.uint8]]:
        with open_engine(tiny_onnx, "onnxruntime", threads=1) as engine, Parser(engine, smooth=smooth) as parser:
            return [parsing.labels for parsing in parser.stream(path)]

    return parse


def read_labels(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as opened:
        return [frame.to_ndarray(format="gray") for frame in opened.decode(video=0)]


def eventually(true: Callable[[], object]) -> None:
    """Wait until it is so."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def patiently(start: Callable[[], Any]) -> Any:
    """Start something of Ray's, which gives up after 30 s of its own."""
    for _ in range(4):
        try:
            return start()
        except Exception as error:  # it raises no other
            if TOO_BUSY not in str(error):
                raise
    return pytest.skip("the machine is too busy to start a node of Ray")


class Nodes:
    """The nodes of a cluster, which can be killed as a power cut does it."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.address: str = cluster.address
        self._nodes = [self.start() for _ in range(2)]
        cluster.wait_for_nodes(PATIENCE)

    def start(self, **resources: int) -> Any:
        """Start a node of one CPU, which joins when it is ready."""
        return patiently(lambda: self.cluster.add_node(wait=False, num_cpus=1, object_store_memory=STORE, **resources))

    def kill_one(self) -> None:
        """SIGKILL a node's raylet and all that it started; a new node takes its place."""
        node = self._nodes.pop(0)
        raylet = node.all_processes["raylet"][0].process.pid
        children = subprocess.run(["pgrep", "-P", str(raylet)], capture_output=True, text=True, check=False).stdout
        for pid in (raylet, *map(int, children.split())):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._nodes.append(self.start())


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A head without workers, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        yield Nodes(cluster)
    finally:
        cluster.shutdown()


@pytest.fixture(scope="session")
def ray(nodes: Nodes) -> Iterator[Any]:
    from rtparse.batch.cluster import connected

    with connected(nodes.address, 1) as module:
        yield module
