"""What was measured: values, and the ratios that mean something on any machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Compared:
    """Another runtime. ms: a frame. ratio: its time over the engine's on the same frame, below 1 where it is faster.

    Medians over single runs.
    """

    ms: float
    ratio: float


@dataclass(frozen=True)
class KernelSpeed:
    """us: microseconds of one launch. gbps: 10**9 bytes a second that it reads and writes, each byte counted once.

    of_copy: that rate over the rate of a copy of as many bytes on the same GPU in the same round: 1 where nothing but
    memory bounds it.
    """

    us: float
    gbps: float
    of_copy: float


@dataclass(frozen=True)
class GpuReport:
    """By the GPU's own clock, medians over the rounds.

    gpu: its name. compute_capability: "8.9". driver: the CUDA version that it offers, "13.0".
    batch: the fewest pictures that the engine takes at once; the engine's times are of one such batch.
    engine_ms: input and logits stay on the GPU, each run is launched anew by the host, whose part is in it.
    engine_graph_ms: the same replayed as a CUDA graph; None where it cannot be recorded.
    upload_gbps, download_gbps: 10**9 bytes a second of a frame's pixels to the GPU, and of its labels from there.
    copy_gbps: of a large copy on the GPU, bytes read and bytes written.
    kernels: every kernel of rtparse at the size of the frames, by its entry.
    """

    gpu: str
    compute_capability: str
    driver: str
    batch: int
    engine_ms: float
    engine_graph_ms: float | None
    upload_gbps: float
    download_gbps: float
    copy_gbps: float
    kernels: dict[str, KernelSpeed]

    @property
    def engine_fps(self) -> float:
        """Frames a second of the bare engine, as fast as it runs here."""
        return 1000 * self.batch / min(self.engine_ms, self.engine_graph_ms or self.engine_ms)


@dataclass(frozen=True)
class BenchReport:
    """Medians over the rounds.

    stages_ms: milliseconds a frame of each stage alone on an otherwise idle process; they overlap in the pipeline.
        Of an engine on a GPU they are those that the host computes.
    engine_fps: the engine on ready inputs, from host memory to host memory. pipeline_fps: file to parsed file, as
        `rtparse video` does it. labels_fps: from frames that lie decoded in memory to labels, as `Parser.stream` does.
    latency_ms: "p50", "p90", "p99" of the milliseconds from a decoded frame to its labels, one frame in flight, over
        the frames of all rounds.
    against: other runtimes with the same network, by name. skipped: those that cannot run here, and why.
    gpu: None for an engine that frames do not pass on a GPU.
    """

    source: str
    frame_hw: tuple[int, int]
    network_hw: tuple[int, int]
    engine: str
    frames: int
    rounds: int
    stages_ms: dict[str, float]
    engine_fps: float
    pipeline_fps: float
    labels_fps: float
    latency_ms: dict[str, float]
    against: dict[str, Compared]
    skipped: dict[str, str]
    gpu: GpuReport | None = None

    @property
    def ratio(self) -> float:
        """File to file over bare engine: 1 when everything else hides behind the engine."""
        return self.pipeline_fps / self.engine_fps

    @property
    def labels_ratio(self) -> float:
        """Frames in memory to labels over the bare engine, on a GPU over the engine that nothing is copied for."""
        return self.labels_fps / (self.gpu.engine_fps if self.gpu else self.engine_fps)

    def figures(self) -> dict[str, Any]:
        """As JSON has it: the fields, and the ratios."""
        return asdict(self) | {"ratio": self.ratio, "labels_ratio": self.labels_ratio}
