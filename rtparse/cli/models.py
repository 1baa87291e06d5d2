"""`rtparse models`."""

from __future__ import annotations

from pathlib import Path

import click

from rtparse.cli import options


@click.group("models", invoke_without_command=True)
@options.verbosity
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the models that `--engine NAME` and Parser("NAME") know."""
    if ctx.invoked_subcommand is not None:
        return
    from rtparse.models import list_models

    for model in list_models():
        click.echo(f"{model.name}\t{model.sha256}\t{model.path}")


@command.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def add(name: str, file: Path) -> None:
    """Register FILE under NAME; a later change of the file is refused."""
    from rtparse.models import register

    click.echo(f"{name}\t{register(name, file).sha256}")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget NAME; its file stays."""
    from rtparse.models import unregister

    unregister(name)
