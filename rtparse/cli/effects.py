"""--effect, and what it says about the other options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from rtparse.errors import UsageError

if TYPE_CHECKING:
    from rtparse.effects import EffectChain

F = TypeVar("F", bound=Any)

_OF_VIEWS = ("view", "alpha", "palette", "classes")


def option(command: F) -> F:
    """--effect."""
    decorated: F = click.option(
        "--effect",
        "effects_given",
        multiple=True,
        metavar="E",
        help="Change the frame instead of showing classes; several follow one another. blur:face,hair | pixelate:face |"
        " background:PICTURE | background:blur | background:#00ff00 | recolour:hair=#aa3300 | cutout (with alpha: .mov,"
        " .webm, .png, a folder)",
    )(command)
    return decorated


def chosen(ctx: click.Context, texts: tuple[str, ...]) -> EffectChain | None:
    """The effects that the command was given, or None for none. Raises UsageError, also for options of views."""
    from rtparse.effects import parse_effects

    if not texts:
        return None
    for name in _OF_VIEWS:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"--effect shows no classes, so --{name} means nothing beside it", f"leave --{name} away")
    return parse_effects(texts)


def is_folder(output: Path) -> bool:
    """Whether a cut-out's output is a folder of PNGs: one that exists, or a name without a suffix."""
    return output.is_dir() or not output.suffix
