"""`rtparse export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtparse.cli import options

PLAN_SUFFIXES = (".plan", ".engine")


@click.command("export")
@click.option("--weights", type=click.Path(path_type=Path), metavar="CKPT", help="Checkpoint (.safetensors) to export.")
@click.option("--model", metavar="M", help=".onnx file or name of a model to export.  [default: built-in]")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), required=True, help="File to write: .onnx, .plan or .engine."
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    help="In which the network computes.  [default: fp32 for .onnx, fp16 for plans]",
)
@click.option("--int8", is_flag=True, help="The same as --precision int8; needs --calibrate.")
@click.option(
    "--calibrate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of pictures like those that will be parsed, for int8; up to 200 are used.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="HxW",
    help="Input size; a plan may have several.  [default: any for .onnx, that of a 16:9 frame for plans]",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of pictures to compare and measure on.  [default: rendered people]",
)
@click.option(
    "--fused",
    type=click.Choice(["auto", "on", "off"]),
    help="Compute the upsample-concat in one kernel; auto times both on the GPU.  [default: off for .onnx, auto]",
)
@click.option("--store", type=click.Choice(["fp32", "fp16"]), help=".onnx: how weights are stored.  [default: fp32]")
@click.option("--flavour", type=click.Choice(["tensorrt", "tensorrt-rtx"]), help="Plans: which TensorRT.")
@click.option("--batch", metavar="N|1:OPT:MAX", help="Plans: up to so many pictures at once.  [default: 1]")
@click.option("--level", type=click.IntRange(0, 5), help="Plans: how long the builder searches.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Plans: where measured kernels are remembered.  [default: by version, GPU and driver in ~/.cache]",
)
@click.option(
    "--verify/--no-verify",
    "verified",
    default=None,
    help="Plans: compare with ONNX Runtime on the GPU.  [default: where there is one]",
)
@click.option("--triton", type=click.Path(path_type=Path), metavar="DIR", help="Lay out a Triton model repository too.")
@click.option("-y", "--yes", is_flag=True, help="Replace an existing file.")
@options.verbosity
def command(weights: Path | None, model: str | None, target: Path, yes: bool, int8: bool, **given: Any) -> None:
    """Turn a checkpoint, or an .onnx file, into a model file that is known to give the same labels.

    .onnx runs anywhere; .plan is a TensorRT engine for one kind of GPU, with a sidecar that says which.
    """
    from rtparse.cli.work import check_place, keep_existing
    from rtparse.errors import MissingDependencyError, UsageError

    if target.suffix not in (".onnx", *PLAN_SUFFIXES):
        raise UsageError(f"--to is {target}", "expected a name ending in .onnx, .plan or .engine")
    if weights and model:
        raise UsageError("--weights and --model were both given", "give one of them")
    if int8:
        if given["precision"] not in (None, "int8"):
            raise UsageError(f"--int8 and --precision {given['precision']} were both given", "give one of them")
        given["precision"] = "int8"
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    foreign = ("flavour", "batch", "level", "timing_cache", "verified") if target.suffix == ".onnx" else ("store",)
    for name in foreign:
        if name in chosen:
            option = "verify" if name == "verified" else name.replace("_", "-")
            kind = "plans" if target.suffix == ".onnx" else ".onnx files"
            raise UsageError(f"--{option} is for {kind}, --to is {target}", "leave it out")
    if "calibrate" in chosen and chosen.get("precision") != "int8":
        raise UsageError("--calibrate was given without int8", "add --precision int8")
    if weights and chosen.get("precision") == "int8" and "calibrate" not in chosen:
        raise UsageError("int8 was asked for without pictures to calibrate on", "add --calibrate DIR")
    keep_existing(target, yes)
    check_place(target)
    try:
        from rtparse.cli.exporting import export
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    export(weights, model, target, yes, chosen)
