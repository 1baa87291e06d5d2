"""An ONNX graph to a TensorRT plan: the network parsed, its profiles set, the engine built and serialized."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from rtparse.engines.flavours import Flavour, error_logger
from rtparse.errors import EngineError
from rtparse.sidecar import Profile, Tensor

_log = logging.getLogger("rtparse")

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a phase, the steps that are done and those there are. Phases nest."""


@dataclass(frozen=True)
class PlanOptions:
    """How to build. level: 0..5, None for the library's default. timing_cache: file that remembers measured kernels."""

    flavour: Flavour
    profiles: tuple[Profile, ...]
    level: int | None = None
    timing_cache: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A serialized engine, and its inputs and outputs as the network declares them."""

    content: bytes
    tensors: tuple[Tensor, ...]


def build_plan(
    proto: onnx.ModelProto, options: PlanOptions, on_progress: OnProgress = lambda phase, done, total: None
) -> Plan:
    """Build an engine. Ctrl-C stops the build before KeyboardInterrupt travels on.

    Raises MissingDependencyError without the library, EngineError with its own words where it refuses the network,
    finds no GPU or fails.
    """
    trt = options.flavour.load()
    cancelled = threading.Event()
    # The main thread has to be free for Ctrl-C, which the monitor passes on at the build's next step.
    with ThreadPoolExecutor(1, "rtparse-build") as pool:
        try:
            built = pool.submit(_build, trt, proto, options, on_progress, cancelled)
            while not built.done():
                wait([built], 0.1)
        except KeyboardInterrupt:
            cancelled.set()
            raise
    return built.result()


def _build(
    trt: ModuleType, proto: onnx.ModelProto, options: PlanOptions, on_progress: OnProgress, cancelled: threading.Event
) -> Plan:
    logger = error_logger(trt)
    try:
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    except (TypeError, RuntimeError) as error:  # a constructor that returned nothing
        raise _failed("cannot start its builder", options, logger, error) from None
    if options.flavour.plugins:
        trt.init_libnvinfer_plugins(logger, "")
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(proto.SerializeToString()):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(f"{each.desc()} in {each.node_name()}, {each.node_operator()}" for each in errors)
        raise EngineError(f"{options.flavour.name} cannot read the network ({said or logger.last})")
    config = _config(trt, builder, network, options)
    config.progress_monitor = monitor = _monitor(trt, on_progress, cancelled)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise _failed("built no engine", options, logger)
    if options.timing_cache:
        _keep(config.get_timing_cache(), options.timing_cache)
    tensors = _tensors(trt, network)
    del config, monitor, parser, network, builder  # the youngest first
    return Plan(bytes(content), tensors)


def _config(trt: ModuleType, builder: Any, network: Any, options: PlanOptions) -> Any:
    config = builder.create_builder_config()
    # Names of layers are for `rtparse inspect`; they cost nothing when the engine runs.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.level is not None:
        config.builder_optimization_level = options.level
    image = network.get_input(0)
    for each in options.profiles:
        profile = builder.create_optimization_profile()
        profile.set_shape(image.name, *((count, 3, *each.size_hw) for count in each.batch))
        config.add_optimization_profile(profile)
    if options.timing_cache:
        known = _remembered(options.timing_cache)
        # One of another version or GPU is refused by the library, and replaced.
        if not config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False):
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    return config


def _remembered(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # there is none yet, or none for us
        return b""


def _keep(cache: Any, path: Path) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(bytes(cache.serialize()))
        beside.replace(path)
    except OSError as error:  # the next build takes longer, and that is all
        _log.warning("the timing cache %s cannot be written (%s)", path, error.strerror)


def _tensors(trt: ModuleType, network: Any) -> tuple[Tensor, ...]:
    names = {trt.float32: "float32", trt.float16: "float16", trt.bfloat16: "bfloat16"}
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    return tuple(Tensor(each.name, names[each.dtype], tuple(each.shape)) for each in [*inputs, *outputs])


def _failed(what: str, options: PlanOptions, logger: Any, error: Exception | None = None) -> EngineError:
    flavour = options.flavour
    hint = "" if flavour.portable else f"{flavour.name} builds on the GPU that will run the plan; is one there?"
    return EngineError(f"{flavour.name} {what} ({logger.last or error or 'it did not say why'})", hint)


def _monitor(trt: ModuleType, on_progress: OnProgress, cancelled: threading.Event) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Tells how far the build is, and ends it when `cancelled` is set."""

        def __init__(self) -> None:
            super().__init__()
            self._totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._totals[phase_name] = num_steps
            on_progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            on_progress(phase_name, step + 1, self._totals.get(phase_name, 0))
            return not cancelled.is_set()

        def phase_finish(self, phase_name: str) -> None:
            total = self._totals.pop(phase_name, 0)
            on_progress(phase_name, total, total)

    return Monitor()
