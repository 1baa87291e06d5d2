"""`rtparse export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from rtparse.cli import options


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
@click.option("-y", "--yes", is_flag=True, help="Replace an existing file.")
@options.verbosity
def command(
    weights: Path, target: Path, size: str | None, store: Literal["fp32", "fp16"], images: Path | None, yes: bool
) -> None:
    """Turn a checkpoint into an ONNX file that is known to give torch's labels."""
    from rtparse.cli.terminal import console
    from rtparse.cli.work import keep_existing
    from rtparse.errors import MissingDependencyError, UsageError

    if target.suffix != ".onnx":
        raise UsageError(f"--to is {target}", "expected a name ending in .onnx")
    keep_existing(target, yes)
    try:
        from rtparse.exporters.check_inputs import check_inputs
        from rtparse.exporters.onnx import export_onnx
        from rtparse.train.checkpoint import load_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    from rtparse.preprocess import fixed_size

    model, metadata = load_checkpoint(weights)
    static = fixed_size(size, None) if size else None
    with console.status("exporting and comparing with torch"):
        parity = export_onnx(model, target, metadata, check_inputs(images, metadata, static), static, store)
    console.print(
        f"{target}: largest logit difference {parity.max_difference:.2g}, same label on {parity.agreement:.3%} of "
        f"{parity.pictures} pictures",
        soft_wrap=True,
    )
