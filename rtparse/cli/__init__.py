"""The command line: `rtparse COMMAND`. Commands are imported when they run, so that help and errors come at once."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import NoReturn

import click

import rtparse
from rtparse.errors import RtparseError

_COMMANDS = {
    "balance": "Shift the classes of a trained network so that its mIoU is highest.",
    "batch": "Parse many videos on a Ray cluster.",
    "bench": "Measure the engine, each stage and the whole pipeline.",
    "eval": "Judge a model on labelled pictures, or its steadiness on a video.",
    "export": "Turn a checkpoint or an .onnx file into a model file, a TensorRT plan too.",
    "image": "Parse one image.",
    "info": "Show versions, engines and models.",
    "inspect": "Show what a TensorRT plan is made for and of.",
    "label": "Label pictures with a model, to train another one on them.",
    "live": "Parse cameras and network streams until Ctrl-C: show, record, send on.",
    "models": "List, add and remove models by name.",
    "presets": "Compare the network's presets: size, cost, speed and quality.",
    "serve": "Serve a page for the browser and a JSON API.",
    "train": "Train the network on labelled pictures.",
    "video": "Parse a video, a folder of images, a stream or a camera.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"rtparse.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rtparse.__version__, prog_name="rtparse")
def cli() -> None:
    """Parse people in video: every pixel of every frame gets one of 20 classes."""


def main(command: click.Command = cli) -> NoReturn:
    """Run a command and end the process: 0 done, 1 failed work, 2 wrong use, 130 interrupted."""
    try:
        code = command.main(standalone_mode=False)
    except RtparseError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:  # the last boundary: a user sees one line, a developer asks for more
        if logging.getLogger("rtparse").isEnabledFor(logging.DEBUG):
            raise
        click.echo(
            f"error: {type(error).__name__}: {error}; this is a defect, run again with -v for its place", err=True
        )
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
