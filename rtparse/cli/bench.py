"""`rtparse bench`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from rtparse.cli import options


@click.command("bench")
@click.argument("source", metavar="VIDEO")
@click.option("--engine", metavar="M", help="Model file or registered name.  [default: built-in]")
@options.backend
@click.option("--frames", type=click.IntRange(10), default=300, show_default=True, help="Frames of VIDEO to take.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures too.")
@options.verbosity
def command(source: str, engine: str | None, backend: str | None, frames: int, json_path: Path | None) -> None:
    """Measure the bare engine, each stage and the whole pipeline on VIDEO, in turns, in one run."""
    from rich.table import Table

    from rtparse.bench import bench
    from rtparse.cli.terminal import console, results

    with console.status("reading") as status:
        report = bench(engine, source, frames, status.update, backend)
    height, width = report.frame_hw
    table = Table("what", "ms a frame", "FPS", title=f"{report.engine}, {width}x{height}, {report.frames} frames")
    for name, milliseconds in report.stages_ms.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{1000 / milliseconds:.1f}")
    table.add_section()
    table.add_row("bare engine", f"{1000 / report.engine_fps:.2f}", f"{report.engine_fps:.1f}")
    table.add_row("whole pipeline", f"{1000 / report.pipeline_fps:.2f}", f"{report.pipeline_fps:.1f}")
    table.add_row("pipeline over engine", "", f"{report.ratio:.2f}")
    results.print(table)
    if json_path:
        beside = json_path.with_name(f".{json_path.name}.part")
        beside.write_text(json.dumps(dataclasses.asdict(report) | {"ratio": report.ratio}, indent=2) + "\n")
        beside.replace(json_path)
