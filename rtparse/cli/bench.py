"""`rtparse bench`."""

from __future__ import annotations

import dataclasses
import json
from contextlib import ExitStack
from pathlib import Path

import click

from rtparse.cli import options


@click.command("bench")
@click.argument("source", metavar="VIDEO")
@click.option("--engine", metavar="M", help="Model file or registered name.  [default: built-in]")
@options.backend
@click.option("--frames", type=click.IntRange(10), default=300, show_default=True, help="Frames of VIDEO to take.")
@click.option(
    "--against",
    default="",
    metavar="NAMES",
    help="Run the same network elsewhere too, several separated by commas: onnxruntime, openvino; of a .safetensors "
    "also torch, torch-compile.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures too.")
@click.option("--chart", "chart_path", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them too.")
@options.verbosity
def command(
    source: str,
    engine: str | None,
    backend: str | None,
    frames: int,
    against: str,
    json_path: Path | None,
    chart_path: Path | None,
) -> None:
    """Measure the bare engine, each stage, the whole pipeline and the latency on VIDEO, in turns, in one run."""
    from rich.table import Table

    from rtparse._cv import cv2
    from rtparse.bench import bench
    from rtparse.chart import draw_chart
    from rtparse.cli.terminal import console, results
    from rtparse.errors import UsageError
    from rtparse.sinks.partial import PartialFile

    if chart_path and chart_path.suffix.lower() != ".png":
        raise UsageError(f"got --chart {chart_path}", "expected a name that ends in .png")
    names = tuple(dict.fromkeys(name.strip() for name in against.split(",") if name.strip()))
    with ExitStack() as unfinished:
        files = {path: PartialFile(path) for path in (json_path, chart_path) if path}
        for file in files.values():
            unfinished.callback(file.discard)
        with console.status("reading") as status:
            report = bench(engine, source, frames, status.update, backend, names)
        height, width = report.frame_hw
        table = Table("what", "ms a frame", "FPS", title=f"{report.engine}, {width}x{height}, {report.frames} frames")
        for name, milliseconds in report.stages_ms.items():
            table.add_row(name, f"{milliseconds:.2f}", f"{1000 / milliseconds:.1f}")
        table.add_section()
        table.add_row("bare engine", f"{1000 / report.engine_fps:.2f}", f"{report.engine_fps:.1f}")
        table.add_row("whole pipeline", f"{1000 / report.pipeline_fps:.2f}", f"{report.pipeline_fps:.1f}")
        table.add_row("pipeline over engine", "", f"{report.ratio:.2f}")
        table.add_section()
        for name, milliseconds in report.latency_ms.items():
            table.add_row(f"latency {name}", f"{milliseconds:.2f}", "")
        table.add_section()
        for name, other in report.against.items():
            table.add_row(name, f"{other.ms:.2f}", f"{1000 / other.ms:.1f}")
            table.add_row(f"{name} over engine", f"{other.ratio:.2f}", "")
        results.print(table)
        if json_path:
            figures = json.dumps(dataclasses.asdict(report) | {"ratio": report.ratio}, indent=2)
            files[json_path].part.write_text(figures + "\n")
        if chart_path:
            files[chart_path].part.write_bytes(cv2.imencode(".png", draw_chart(report))[1].tobytes())
        for file in files.values():
            file.commit()
