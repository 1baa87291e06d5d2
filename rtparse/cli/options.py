"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.logging import RichHandler

from rtparse.cli.terminal import console
from rtparse.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _verbosity(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value:
        return
    logger = logging.getLogger("rtparse")
    if param.name == "quiet":
        console.quiet = True
    else:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(RichHandler(console=console, show_path=False))


def verbosity(command: F) -> F:
    """-v and -q."""
    command = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_verbosity, help="Say more; show tracebacks."
    )(command)
    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_verbosity, help="Say errors only."
    )(command)


def backend(command: F) -> F:
    """--backend."""
    return click.option(
        "--backend",
        type=click.Choice(["onnxruntime", "openvino"]),
        help="What runs an .onnx file.  [default: the faster one on this CPU]",
    )(command)


def engine(command: F) -> F:
    """--engine, --backend and --size."""
    command = click.option(
        "--size",
        default="auto",
        show_default=True,
        metavar="auto|HxW",
        help="Network input; auto keeps the frame's aspect ratio at the model's pixel budget.",
    )(command)
    command = backend(command)
    return click.option(
        "--engine",
        metavar="M",
        help="Model file (.onnx, .safetensors) or registered name.  [default: the built-in one]",
    )(command)


def split(command: F) -> F:
    """--split and --hold-out, see `check_split`."""
    held = click.option(
        "--hold-out", type=click.IntRange(2), metavar="N", help="With --split held-out, as in training.  [default: 14]"
    )
    part = click.option(
        "--split", type=click.Choice(["train", "val", "held-out"]), help="Part of the data.  [default: val]"
    )
    return part(held(command))


def check_split(split: str | None, hold_out: int | None) -> None:
    """Raise UsageError where --hold-out was given and means nothing."""
    if hold_out and split != "held-out":
        raise UsageError("--hold-out was given without --split held-out", "add --split held-out")


def palette(command: F) -> F:
    """--palette."""
    return click.option(
        "--palette",
        type=click.Choice(["default", "colorblind"]),
        help="Colours of the classes.  [default: the model's own]",
    )(command)


def views(command: F) -> F:
    """--view, --alpha, --palette and --classes: how the picture looks."""
    options = [
        click.option(
            "--view",
            type=click.Choice(["overlay", "labels", "side-by-side"]),
            default="overlay",
            show_default=True,
        ),
        click.option(
            "--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Strength of the overlay."
        ),
        palette,
        click.option("--classes", metavar="face,hair", help="Show only these classes."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def outputs(command: F) -> F:
    """How the picture looks, and what is written besides it."""
    options = [
        click.option("--masks", type=click.Path(path_type=Path), metavar="DIR", help="Write class ids, a PNG a frame."),
        click.option(
            "--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="Write shares and boxes as JSON."
        ),
        click.option("--rle", is_flag=True, help="Add COCO run lengths to --jsonl."),
        click.option("-y", "--yes", is_flag=True, help="Replace existing outputs."),
    ]
    for option in reversed(options):
        command = option(command)
    return views(command)


def smooth(command: F) -> F:
    """--smooth."""
    return click.option(
        "--smooth",
        type=click.FloatRange(0, 0.99),
        default=0.0,
        show_default=True,
        help="Damp flicker: share of the past in a running mean of logits, which starts anew at a cut.",
    )(command)


def roi(command: F) -> F:
    """--roi."""
    return click.option(
        "--roi", metavar="X,Y,W,H", help="Look only at this part of the frame, in pixels; around it is background."
    )(command)


def follow(command: F) -> F:
    """--follow."""
    return click.option(
        "--follow",
        is_flag=True,
        help="Parse distant people in crops that follow them, each at full network resolution; several times slower.",
    )(command)


def _devices(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of GPUs; expected numbers such as 0 or 0,1") from None


def device(command: F) -> F:
    """--device."""
    return click.option(
        "--device",
        default="",
        metavar="0,1",
        callback=_devices,
        help="NVIDIA GPU for a plan or a checkpoint, as CUDA counts them; several share the inputs.  [default: 0]",
    )(command)


def latency(command: F) -> F:
    """--latency."""
    return click.option(
        "--latency",
        is_flag=True,
        help="One frame at a time, as always with live inputs but for --keep-all: the earliest result, not the most "
        "frames a second.",
    )(command)


def codecs(command: F) -> F:
    """--decode and --encode."""
    command = click.option(
        "--encode",
        type=click.Choice(["auto", "cpu", "nvenc"]),
        default="auto",
        show_default=True,
        help="What encodes the video; nvenc is an NVIDIA GPU's encoder.",
    )(command)
    return click.option(
        "--decode",
        type=click.Choice(["auto", "cpu", "nvdec"]),
        default="auto",
        show_default=True,
        help="What decodes video files; nvdec is an NVIDIA GPU's decoder, for an engine on that GPU.",
    )(command)
