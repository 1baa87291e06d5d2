"""From a float32 graph to a plan that lies, compared with ONNX Runtime, beside its sidecar."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx

from rtparse.engines import open_engine
from rtparse.engines.flavours import Flavour
from rtparse.errors import EngineError, UsageError
from rtparse.exporters.check_inputs import check_inputs
from rtparse.exporters.graph import load_network, specialize
from rtparse.exporters.int8 import calibration_inputs
from rtparse.exporters.machine import Machine, this_machine, timing_cache_path
from rtparse.exporters.plan import OnProgress, PlanOptions, build_plan
from rtparse.exporters.plugin import register_plugin
from rtparse.exporters.precision import Pictures, Precision, cast
from rtparse.exporters.upsample_concat import for_plugin, fuse, input_count
from rtparse.exporters.verify import milliseconds, verify
from rtparse.sidecar import Build, Profile, Sidecar, write_plan


@dataclass(frozen=True)
class PlanRequest:
    """What `rtparse export --to model.plan` was asked for.

    batch: fewest, usual and most pictures. sizes: (height, width) of the inputs on offer.
    fused: whether the plugin computes the upsample-concat; "auto" builds both ways and keeps the faster.
    verified: None compares where there is a GPU. images: folder to compare on, None for rendered people.
    command: that repeats the export.
    """

    flavour: Flavour
    precision: Precision
    batch: tuple[int, int, int]
    sizes: tuple[tuple[int, int], ...]
    fused: Literal["auto", "on", "off"]
    command: str
    level: int | None = None
    timing_cache: Path | None = None
    verified: bool | None = None
    images: Path | None = None
    calibrate: Path | None = None


@dataclass(frozen=True)
class Listener:
    """Who hears of an export. say: what is being done. warn: what came out otherwise than hoped.

    on_progress: of a build. on_picture: of a calibration.
    """

    say: Callable[[str], None] = lambda what: None
    warn: Callable[[str], None] = lambda what: None
    on_progress: OnProgress = lambda phase, done, total: None
    on_picture: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True)
class _Candidate:
    """A plan that was built, and what was found of it on the GPU."""

    content: bytes
    sidecar: Sidecar
    ms: float | None = None


def export_plan(
    source: Path,
    target: Path,
    request: PlanRequest,
    listener: Listener = Listener(),
) -> Sidecar:
    """Write `target` and its sidecar, which is returned; nothing is written where anything fails.

    source: an .onnx file. Raises UsageError for options that do not go together, MissingDependencyError without the
    library, EngineError for another network, or where the plan cannot be built or differs from ONNX Runtime.
    """
    proto, metadata = load_network(source)
    machine = this_machine(request.flavour)
    _check(request, machine)
    # One size is made constant; several stay free, and each has its profile.
    size_hw = request.sizes[0] if len(request.sizes) == 1 else None
    fixed = 1 if request.batch == (1, 1, 1) else None
    given = specialize(proto, fixed, size_hw)
    pictures = [
        each for size in request.sizes for each in check_inputs(request.images, metadata, size) if len(each) == 1
    ]
    listener.say(f"measuring the layers in {request.precision}")
    calibrating = calibration_inputs(request.calibrate, metadata, size_hw) if request.calibrate else []
    done = cast(given, metadata, request.precision, pictures, calibrating, listener.on_picture)
    profiles = tuple(Profile(size, request.batch) for size in request.sizes)
    sidecar = Sidecar(
        metadata=replace(metadata, precision=request.precision),
        target=machine.target,
        build=Build(request.command, done.float32_layers, unverified=machine.no_gpu),
        profiles=profiles,
        tensors=(),
        plan_bytes=0,
        plan_sha256="",
        onnx_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
    )
    compared = request.verified is not False and not machine.no_gpu
    # Quantization has been judged against float already: what TensorRT makes of it is judged against itself.
    reference = done.proto if request.precision == "int8" else given
    built = []
    for graph, fused in _forms(done.proto, request):
        try:
            each = _candidate(graph, fused, sidecar, request, machine, listener)
            built.append(_tried(each, target, reference, pictures, request, listener) if compared else each)
        except EngineError as error:
            if not (fused and request.fused == "auto"):
                raise
            listener.warn(f"the fused upsample-concat is left out: {error.message}")
    chosen = _fastest(built)
    write_plan(target, chosen.content, chosen.sidecar)
    return chosen.sidecar


def _check(request: PlanRequest, machine: Machine) -> None:
    flavour = request.flavour
    if request.fused == "on" and not flavour.plugins:
        raise UsageError(f"{flavour.name} has no plugins for the fused upsample-concat", "give --fused off")
    if request.timing_cache and not flavour.timing_cache:
        raise UsageError(f"{flavour.name} has no timing cache", "leave --timing-cache out")
    if request.verified and machine.no_gpu:
        raise UsageError(f"--verify needs a GPU: {machine.no_gpu}", "leave it out to build unverified")
    if not flavour.portable and machine.no_gpu:
        raise EngineError(
            f"{flavour.name} builds on the GPU that will run the plan: {machine.no_gpu}",
            "build there, or give --flavour tensorrt-rtx, which needs no GPU to build",
        )


def _forms(proto: onnx.ModelProto, request: PlanRequest) -> Iterator[tuple[onnx.ModelProto, bool]]:
    """The graphs to build, and whether each has the fused op."""
    if request.fused != "on":
        yield proto, False
    if request.fused == "off" or not request.flavour.plugins:
        return
    fused = onnx.ModelProto()
    fused.CopyFrom(proto)
    if fuse(fused):
        yield fused, True
    elif request.fused == "on":
        raise UsageError("the network has no upsample-concat to fuse", "give --fused off")


def _candidate(
    graph: onnx.ModelProto,
    fused: bool,
    sidecar: Sidecar,
    request: PlanRequest,
    machine: Machine,
    listener: Listener,
) -> _Candidate:
    if fused:
        register_plugin(request.flavour.load(), input_count(graph), machine.arch, machine.driver)
        graph = for_plugin(graph)
    listener.say("building with the fused upsample-concat" if fused else "building")
    cache = request.timing_cache or (timing_cache_path(machine.target) if request.flavour.timing_cache else None)
    options = PlanOptions(request.flavour, sidecar.profiles, request.level, cache)
    plan = build_plan(graph, options, listener.on_progress)
    described = replace(
        sidecar,
        build=replace(sidecar.build, fused=fused),
        tensors=plan.tensors,
        plan_bytes=len(plan.content),
        plan_sha256=hashlib.sha256(plan.content).hexdigest(),
    )
    return _Candidate(plan.content, described)


def _tried(
    each: _Candidate,
    target: Path,
    reference: onnx.ModelProto,
    pictures: Pictures,
    request: PlanRequest,
    listener: Listener,
) -> _Candidate:
    """Run a plan through the engine that users run it with."""
    listener.say("comparing with ONNX Runtime")
    with _scratch(target) as folder:
        path = folder / "model.plan"
        write_plan(path, each.content, each.sidecar)
        with open_engine(path) as engine:
            verified = verify(engine, reference, pictures, range(request.batch[0], request.batch[2] + 1))
            ms = milliseconds(engine, pictures[0])
    build = replace(each.sidecar.build, verified=verified.batches)
    return _Candidate(each.content, replace(each.sidecar, build=build), ms)


def _fastest(built: list[_Candidate]) -> _Candidate:
    """The faster one where both forms ran; both times go into its sidecar."""
    times = {each.sidecar.build.fused: each.ms for each in built}
    chosen = min(built, key=lambda each: (each.ms or 0.0, each.sidecar.build.fused))
    if len(times) < 2:
        return chosen
    build = replace(chosen.sidecar.build, fused_ms=times[True], plain_ms=times[False])
    return replace(chosen, sidecar=replace(chosen.sidecar, build=build))


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".")
    except OSError as error:
        raise EngineError(f"{target.parent} cannot be written ({error.strerror})", "choose another folder") from None
    with folder as name:
        yield Path(name)
