"""`rtparse export`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rtparse.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@click.command("export")
@click.option(
    "--weights", type=click.Path(path_type=Path), required=True, help="Checkpoint (.safetensors) of training."
)
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="File to write (.onnx).")
@click.option("--size", metavar="HxW", help="A static input, batch 1.  [default: dynamic batch, height and width]")
@click.option(
    "--store",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="How weights are stored; fp16 halves the file.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of pictures to compare with torch on.  [default: rendered people]",
)
@click.option("--int8", is_flag=True, help="Quantize to INT8, for CPUs and TensorRT; needs --calibrate.")
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of pictures like those that will be parsed; up to 200 are used.",
)
@click.option("-y", "--yes", is_flag=True, help="Replace an existing file.")
@options.verbosity
def command(
    weights: Path,
    target: Path,
    size: str | None,
    store: Literal["fp32", "fp16"],
    images: Path | None,
    int8: bool,
    calibrate: Path | None,
    yes: bool,
) -> None:
    """Turn a checkpoint into an ONNX file that is known to give torch's labels, or nearly so in INT8."""
    from rtparse.cli.terminal import console
    from rtparse.cli.work import keep_existing
    from rtparse.errors import MissingDependencyError, UsageError

    if target.suffix != ".onnx":
        raise UsageError(f"--to is {target}", "expected a name ending in .onnx")
    if int8 != (calibrate is not None):
        raise UsageError("--int8 and --calibrate DIR belong together", "give both or neither")
    if int8 and store != "fp32":
        raise UsageError(f"got both --int8 and --store {store}", "give one of them")
    keep_existing(target, yes)
    try:
        from rtparse.exporters.check_inputs import check_inputs
        from rtparse.exporters.int8 import calibration_inputs
        from rtparse.exporters.onnx import export_onnx
        from rtparse.train.checkpoint import load_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    from rtparse.preprocess import fixed_size

    model, metadata = load_checkpoint(weights)
    static = fixed_size(size, None) if size else None
    pictures = calibration_inputs(calibrate, metadata, static) if calibrate else []
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "float.onnx" if int8 else target
        with console.status("exporting and comparing with torch"):
            parity = export_onnx(model, exported, metadata, check_inputs(images, metadata, static), static, store)
        console.print(
            f"{'the float model' if int8 else target}: largest logit difference {parity.max_difference:.2g}, same "
            f"label on {parity.agreement:.3%} of {parity.pictures} pictures",
            soft_wrap=True,
        )
        if int8:
            _quantize(exported, target, pictures)


def _quantize(exported: Path, target: Path, pictures: list[NDArray[np.float32]]) -> None:
    from rtparse.cli.terminal import console, frame_progress
    from rtparse.exporters.int8 import quantize

    with frame_progress() as progress:
        task = progress.add_task("calibrating", total=len(pictures))
        found = quantize(
            exported, target, pictures, lambda done, total: progress.update(task, completed=done, total=total)
        )
    console.print(
        f"{target}: INT8 by {found.calibrated} pictures, same label on {found.agreement:.3%} of {found.judged} others",
        soft_wrap=True,
    )
