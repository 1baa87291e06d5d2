"""`rtparse presets`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import options

if TYPE_CHECKING:
    from rich.status import Status

    from rtparse.exporters.presets import PresetRow


def _weights(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Path]:
    pairs = [each.partition("=") for each in given]
    for preset, _, file in pairs:
        if not preset or not file:
            raise click.BadParameter(f"got {preset!r}, expected PRESET=FILE")
    names = [preset for preset, _, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise click.BadParameter(f"{', '.join(sorted(twice))} was given twice, expected one file a preset")
    return {preset: Path(file) for preset, _, file in pairs}


@click.command("presets")
@click.option(
    "--weights",
    multiple=True,
    callback=_weights,
    metavar="PRESET=FILE",
    help="Checkpoint (.safetensors) of a preset; may be repeated.  [default: random weights]",
)
@click.option("--data", metavar="KIND:PATH", help="Labelled pictures, which give the mIoU of --weights.")
@options.split
@click.option("--markdown", is_flag=True, help="Print Markdown instead of a table.")
@options.verbosity
def command(
    weights: dict[str, Path], data: str | None, split: str | None, hold_out: int | None, markdown: bool
) -> None:
    """Compare the network's presets: parameters, GFLOP at 256x192, ms of a 16:9 frame on this CPU, and mIoU."""
    from rich.table import Table

    from rtparse.cli.terminal import console, results
    from rtparse.errors import MissingDependencyError, UsageError

    try:
        from rtparse.exporters.presets import cpu_backends, load_presets, measure_preset
        from rtparse.train.evaluation.opening import open_labelled
        from rtparse.train.model import PRESETS
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "export") from None
    if data and not weights:
        raise UsageError("--data was given without --weights", "add --weights PRESET=FILE: random weights find nothing")
    if (split or hold_out) and not data:
        raise UsageError("--split and --hold-out are for --data", "add --data KIND:PATH")
    options.check_split(split, hold_out)
    trained = load_presets(weights)
    dataset = open_labelled(data, split or "val", hold_out=hold_out or 0) if data else None
    rows = []
    with console.status("") as status:
        for preset in PRESETS:
            told = partial(_tell, status, preset)
            rows.append(measure_preset(preset, trained.get(preset), dataset, told))
    backends = cpu_backends()
    head = ["preset", "encoder", "parameters", "GFLOP", *(f"ms, {backend}" for backend in backends), "mIoU"]
    lines = [_cells(row, backends) for row in sorted(rows, key=lambda row: row.gflop)]
    if markdown:
        for line in [head, ["---"] * len(head), *lines]:
            click.echo(f"| {' | '.join(line)} |")
        return
    table = Table(*head)
    for line in lines:
        table.add_row(*line)
    results.print(table)


def _tell(status: Status, preset: str, what: str) -> None:
    status.update(f"{preset}: {what}")


def _cells(row: PresetRow, backends: list[str]) -> list[str]:
    return [
        row.preset,
        row.config.encoder if row.config.layer4 else f"{row.config.encoder} without layer4",
        f"{row.parameters / 1e6:.1f} M",
        f"{row.gflop:.1f}",
        *(f"{row.ms[backend]:.1f}" for backend in backends),
        "-" if row.miou is None else f"{row.miou:.4f}",
    ]
