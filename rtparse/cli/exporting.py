"""What `rtparse export` does once it is known what was meant. Needs the extra `export`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rtparse.cli.interrupt import Interrupt
from rtparse.cli.terminal import console
from rtparse.engines.flavours import flavour_named, installed_flavour
from rtparse.errors import UsageError
from rtparse.exporters.check_inputs import check_inputs
from rtparse.exporters.graph import load_network
from rtparse.exporters.onnx import export_onnx
from rtparse.exporters.refined import refine_onnx
from rtparse.exporters.tensorrt import Listener, PlanRequest, export_plan
from rtparse.exporters.triton import Served, keep_served, write_repository
from rtparse.metadata import ModelMetadata
from rtparse.models import BUILTINS, resolve
from rtparse.preprocess import fixed_size, network_size
from rtparse.sidecar import Sidecar, Tensor
from rtparse.train.checkpoint import load_checkpoint

FRAME_HW = (720, 1280)
"""What most video is: a plan's default size is the one for its shape."""


def export(weights: Path | None, model: str | None, target: Path, replace: bool, given: Mapping[str, Any]) -> None:
    """Export what was named. given: the options of the command that were given."""
    if "triton" in given:
        keep_served(given["triton"], target, replace)
    with Interrupt(), tempfile.TemporaryDirectory() as folder, _progress() as progress:
        sizes = tuple(size for text in given.get("sizes", ()) if (size := fixed_size(text, None)))
        if target.suffix != ".onnx":
            source = _traced(weights, Path(folder), None, "fp32") if weights else resolve(model or BUILTINS[0])
            request = _request(load_network(source)[1], sizes, given)
            _report_plan(target, export_plan(source, target, request, _listener(progress)))
        else:
            if len(sizes) > 1:
                raise UsageError("several sizes were given", "an .onnx file has one, or takes any: leave --size out")
            size = sizes[0] if sizes else None
            _export_onnx(weights, model, target, Path(folder), size, given, progress)
    if "triton" in given:
        repository = write_repository(given["triton"], _served(target), replace)
        console.print(f"{repository}: a model of a Triton repository", soft_wrap=True)


def _export_onnx(
    weights: Path | None,
    model: str | None,
    target: Path,
    folder: Path,
    size: tuple[int, int] | None,
    given: Mapping[str, Any],
    progress: Progress,
) -> None:
    precision, store = given.get("precision", "fp32"), given.get("store")
    fused = given.get("fused", "off") == "on"
    if precision == "bf16":
        raise UsageError("bf16 was asked for in an .onnx file", "it is for plans: no CPU runs it")
    if store and (precision != "fp32" or fused or not weights):
        raise UsageError(f"--store {store} is for float32 exports of --weights", "leave it out")
    images = given.get("images")
    if weights and precision == "fp32" and not fused:
        _traced(weights, folder, size, store or "fp32", target, images)
        return
    source = _traced(weights, folder, size, "fp32", images=images) if weights else resolve(model or BUILTINS[0])
    proto, metadata = load_network(source)
    calibrating = _listener(progress).on_picture
    done = refine_onnx(proto, metadata, target, precision, size, fused, images, given.get("calibrate"), calibrating)
    seen = " of pictures not calibrated with" if precision == "int8" else ""
    same = "" if done.agreement is None else f", same label on {done.agreement:.3%} of the pixels{seen}"
    kept = f", float32: {', '.join(done.float32_layers)}" if done.float32_layers else ""
    console.print(f"{target}: {precision}{same}{kept}", soft_wrap=True)


def _traced(
    weights: Path,
    folder: Path,
    size: tuple[int, int] | None,
    store: Any,
    target: Path | None = None,
    images: Path | None = None,
) -> Path:
    """The ONNX file of a checkpoint, compared with torch: at `target`, or a temporary one."""
    model, metadata = load_checkpoint(weights)
    path = target or folder / "float.onnx"
    with console.status("exporting and comparing with torch"):
        parity = export_onnx(model, path, metadata, check_inputs(images, metadata, size), size, store)
    console.print(
        f"{target or 'the float model'}: largest logit difference {parity.max_difference:.2g}, same label on "
        f"{parity.agreement:.3%} of {parity.pictures} pictures",
        soft_wrap=True,
    )
    return path


def _request(metadata: ModelMetadata, sizes: tuple[tuple[int, int], ...], given: Mapping[str, Any]) -> PlanRequest:
    height, width = metadata.size_hw
    repeat = ["rtparse", *sys.argv[1:]]
    return PlanRequest(
        flavour=flavour_named(given["flavour"]) if "flavour" in given else installed_flavour(),
        precision=given.get("precision", "int8" if metadata.precision == "int8" else "fp16"),
        batch=_batch(given.get("batch", "1")),
        sizes=tuple(dict.fromkeys(sizes)) or (network_size(FRAME_HW, height * width),),
        fused=given.get("fused", "auto"),
        command=shlex.join(repeat if {"-y", "--yes"} & set(repeat) else [*repeat, "-y"]),
        level=given.get("level"),
        timing_cache=given.get("timing_cache"),
        verified=given.get("verified"),
        images=given.get("images"),
        calibrate=given.get("calibrate"),
    )


def _batch(text: str) -> tuple[int, int, int]:
    """N or 1:OPT:MAX to fewest, usual and most."""
    try:
        sides = [int(side) for side in text.split(":")]
        fewest, usual, most = (1, sides[0], sides[0]) if len(sides) == 1 else sides
    except ValueError:
        fewest, usual, most = 0, 0, 0
    if not fewest == 1 <= usual <= most:
        raise UsageError(f"got --batch {text}", "expected N, or 1:OPT:MAX such as 1:4:16")
    return fewest, usual, most


def _report_plan(target: Path, made: Sidecar) -> None:
    build = made.build
    sizes = ", ".join(f"{height}x{width}" for height, width in (profile.size_hw for profile in made.profiles))
    most = made.profiles[0].batch[2]
    console.print(
        f"{target}: {made.target.flavour} {made.target.version}, {made.metadata.precision}, {sizes}, batch "
        f"{'1' if most == 1 else f'1 to {most}'}, {made.plan_bytes / 1e6:.1f} MB",
        soft_wrap=True,
    )
    if build.float32_layers:
        console.print(f"kept in float32: {', '.join(build.float32_layers)}", soft_wrap=True)
    if build.fused_ms is not None and build.plain_ms is not None:
        console.print(f"upsample-concat: fused {build.fused_ms:.3f} ms a run, plain {build.plain_ms:.3f} ms")
    if build.verified:
        console.print("gives ONNX Runtime's labels at every batch size")
    else:
        reason = build.unverified or "--no-verify was given"
        console.print(f"NOT compared with ONNX Runtime, nor run at all: {reason}", soft_wrap=True)


def _served(target: Path) -> Served:
    """What Triton has to know of a file that was just written."""
    if target.suffix != ".onnx":
        from rtparse.sidecar import read_sidecar

        sidecar = read_sidecar(target)
        assert sidecar is not None  # it was written a moment ago
        given, logits = sidecar.tensors
        batch = sidecar.profiles[0].batch
        return Served(target, sidecar.metadata.classes, (given, logits), batch, len(sidecar.profiles))
    proto, metadata = load_network(target)
    tensors = [_tensor(each) for each in (proto.graph.input[0], proto.graph.output[0])]
    free = tensors[0].shape[0] == -1
    return Served(target, metadata.classes, (tensors[0], tensors[1]), (1, 4, 8) if free else (1, 1, 1))


def _tensor(info: onnx.ValueInfoProto) -> Tensor:
    return Tensor(info.name, "float32", tuple(side.dim_value or -1 for side in info.type.tensor_type.shape.dim))


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


def _listener(progress: Progress) -> Listener:
    """Shows phases of a build, which nest, as bars."""
    tasks: dict[str, Any] = {}

    def show(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = progress.add_task(phase, total=total)
        progress.update(tasks[phase], completed=done, total=total, visible=done < total)

    def warn(what: str) -> None:
        console.print(f"warning: {what}", soft_wrap=True)

    return Listener(
        say=lambda what: progress.console.print(what, soft_wrap=True),
        warn=warn,
        on_progress=show,
        on_picture=lambda done, total: show("calibrating", done, total),
    )
