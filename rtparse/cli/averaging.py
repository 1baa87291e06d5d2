"""--flip and --scales: asking a model several times, for the commands that take their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _parse(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(part) for part in value.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0.25 <= scale <= 4 for scale in scales):
        raise click.BadParameter(f"got {value!r}, expected numbers from 0.25 to 4 such as 0.75,1,1.25")
    return scales


def averaging(command: F) -> F:
    """--flip and --scales, as `flip: bool` and `scales: tuple[float, ...]`."""
    command = click.option(
        "--scales",
        default="1",
        show_default=True,
        metavar="S,S",
        callback=_parse,
        help="Average over inputs of these sizes.",
    )(command)
    return click.option("--flip", is_flag=True, help="Average over the picture and its mirror image.")(command)
