"""`rtparse train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rtparse.cli import options
from rtparse.train.recipe import RECIPES

F = TypeVar("F", bound=Callable[..., Any])

RATE, SHARE = click.FloatRange(0, min_open=True), click.FloatRange(0, 1)


def _of_preset(name: str) -> str:
    """The default of a recipe's field, as help shows it: one value, or that of each preset."""
    values = {preset: getattr(recipe, name) for preset, recipe in RECIPES.items()}
    if len(set(values.values())) == 1:
        return f"  [default: {values['small']}]"
    return f"  [default: {values['small']}; paper: {values['paper']}]"


def _recipe(command: F) -> F:
    """The hyperparameters: what is not given is the preset's."""
    made = [
        click.option("--epochs", type=click.IntRange(1), help="Length in epochs." + _of_preset("epochs")),
        click.option(
            "--batch",
            type=click.IntRange(2),
            help="Pictures of a step, over all processes and micro-batches." + _of_preset("batch"),
        ),
        click.option(
            "--accumulate", type=click.IntRange(1), help="Micro-batches of a step." + _of_preset("accumulate")
        ),
        click.option(
            "--style",
            type=click.Choice(["paper", "video"]),
            help="The paper's crops, or composed frames, close-ups and rendered people too." + _of_preset("style"),
        ),
        click.option("--size", metavar="HxW", help="Size of every picture.  [default: by --pixels; paper: 256x192]"),
        click.option(
            "--pixels", type=click.IntRange(4096), help="Height times width, at the aspect ratios of photos and video."
        ),
        click.option(
            "--window",
            type=click.IntRange(64),
            metavar="N",
            help="Train on windows of NxN, mostly about people, N a multiple of 16; the picture keeps its size.",
        ),
        click.option("--optimizer", type=click.Choice(["sgd", "adamw"]), help=_of_preset("optimizer").strip()),
        click.option("--lr", type=RATE, help="Learning rate." + _of_preset("lr")),
        click.option("--warmup", type=click.IntRange(0), help="Steps until the full rate." + _of_preset("warmup")),
        click.option(
            "--ema", type=click.FloatRange(0, 1, max_open=True), help="Decay of the weights' mean." + _of_preset("ema")
        ),
        click.option(
            "--class-balance",
            type=SHARE,
            help="Weight classes by frequency to minus this." + _of_preset("class_balance"),
        ),
        click.option(
            "--ohem",
            type=click.FloatRange(1 / 16, 1),
            help="Count this share of pixels, the hardest." + _of_preset("ohem"),
        ),
        click.option("--label-smoothing", type=SHARE, help=_of_preset("label_smoothing").strip()),
        click.option(
            "--teacher-weight", type=SHARE, help="Share of --teacher in the loss." + _of_preset("teacher_weight")
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            help="auto: bf16 where the machine multiplies it, else fp32." + _of_preset("precision"),
        ),
        click.option("--compile/--no-compile", default=None, help="Compile the network." + _of_preset("compile")),
        click.option("--seed", type=click.IntRange(0), help=_of_preset("seed").strip()),
        click.option(
            "--hold-out",
            type=click.IntRange(0),
            metavar="N",
            help="Keep every Nth picture for judging, 0 for none." + _of_preset("hold_out"),
        ),
    ]
    for option in reversed(made):
        command = option(command)
    return command


def _table_1(command: F) -> F:
    """What the rows of the paper's Table I differ in, and the encoder."""
    made = [
        click.option("--encoder", metavar="NAME", help="resnet18, 34, 50 or 101."),
        click.option("--context", type=click.Choice(["aspp", "dblock"])),
        click.option("--smooth/--no-smooth", default=None),
        click.option("--deep-supervision/--no-deep-supervision", default=None),
    ]
    for option in reversed(made):
        command = option(command)
    return command


def _parts(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """SPEC[@WEIGHT] to pairs; an @ that no number follows belongs to the path."""
    parts = []
    for part in value:
        spec, _, weight = part.rpartition("@")
        try:
            parts.append((spec, float(weight)) if spec else (part, 1.0))
        except ValueError:
            parts.append((part, 1.0))
    return tuple(parts)


@click.command("train")
@click.option("--preset", type=click.Choice(list(RECIPES)), default="small", show_default=True)
@click.option(
    "--data",
    multiple=True,
    required=True,
    callback=_parts,
    metavar="SPEC[@WEIGHT]",
    help="folder:PATH, lip:PATH, cihp:PATH, atr:PATH or synthetic; repeat it to mix.",
)
@click.option("--check", "check_only", is_flag=True, help="Read all pairs, name those that cannot be used, and end.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="RUN", help="Folder of the run; one that exists goes on."
)
@click.option("--steps", type=click.IntRange(1), help="Length in steps, instead of --epochs.")
@click.option(
    "--encoder-weights",
    metavar="FILE",
    help="ImageNet file of the encoder: .pth (or its URL), .safetensors, folded .npz.",
)
@click.option("--init", type=click.Path(path_type=Path), metavar="CKPT", help="Start from what fits of a checkpoint.")
@click.option(
    "--teacher", type=click.Path(path_type=Path), metavar="CKPT", help="Learn from this checkpoint's answers too."
)
@_table_1
@_recipe
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that make batches, for each GPU, with up to 2 GiB of pictures each.  [default: all its cores but "
    "one, at most 8; without a GPU 0, a thread]",
)
@click.option("--save-every", type=click.FloatRange(0), default=5, show_default=True, metavar="MINUTES")
@options.palette
@options.verbosity
def command(
    preset: str,
    data: tuple[tuple[str, float], ...],
    check_only: bool,
    out: Path | None,
    **given: Any,
) -> None:
    """Train the network on labelled pictures. Ctrl-C saves, and the same command goes on.

    On many GPUs: torchrun --nproc-per-node N -m rtparse train ...
    """
    from rtparse.errors import MissingDependencyError, UsageError

    try:
        from rtparse.cli.training import check_data, train_and_report
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "train") from None
    if check_only:
        check_data([spec for spec, _ in data], given["hold_out"])
        return
    if out is None:
        raise UsageError("no --out was given", "name a folder for the run")
    train_and_report(preset, data, out, given)
