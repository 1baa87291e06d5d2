"""`rtparse bench`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import encoding, options

if TYPE_CHECKING:
    from rich.table import Table

    from rtparse.bench import BenchReport, GpuReport


@click.command("bench")
@click.argument("source", metavar="VIDEO")
@click.option("--engine", metavar="M", help="Model file or registered name.  [default: built-in]")
@options.backend
@click.option("--frames", type=click.IntRange(10), default=300, show_default=True, help="Frames of VIDEO to take.")
@click.option(
    "--against",
    metavar="NAMES",
    help="Run the same network elsewhere too, several separated by commas: onnxruntime, openvino; of a .safetensors "
    "also torch, torch-compile.  [default: on a GPU all but openvino, else none]",
)
@click.option("--network", metavar="M", help="What --against runs for a plan: the .onnx or .safetensors it came of.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures too.")
@click.option("--chart", "chart_path", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them too.")
@options.verbosity
def command(
    source: str,
    engine: str | None,
    backend: str | None,
    frames: int,
    against: str | None,
    network: str | None,
    json_path: Path | None,
    chart_path: Path | None,
) -> None:
    """Measure the bare engine, each stage, the whole pipeline and the latency on VIDEO, in turns, in one run.

    Of an engine on an NVIDIA GPU also the network alone with and without a CUDA graph, copies up and down, and every
    kernel against a copy, by the GPU's clock.
    """
    from rtparse._cv import cv2
    from rtparse.bench import bench
    from rtparse.bench.chart import draw_chart
    from rtparse.cli.terminal import console, results
    from rtparse.errors import UsageError
    from rtparse.sinks.partial import PartialFile

    if chart_path and chart_path.suffix.lower() != ".png":
        raise UsageError(f"got --chart {chart_path}", "expected a name that ends in .png")
    names = None
    if against is not None:
        names = tuple(dict.fromkeys(name.strip() for name in against.split(",") if name.strip()))
    with ExitStack() as unfinished:
        files = {path: PartialFile(path) for path in (json_path, chart_path) if path}
        for file in files.values():
            unfinished.callback(file.discard)
        with console.status("reading") as status:
            sink = partial(encoding.video_sink, encode="auto", gpu=0, alpha=False)
            report = bench(engine, source, frames, status.update, backend, names, network, sink)
        results.print(_table(report))
        for name, reason in report.skipped.items():
            click.echo(f"{name} was skipped: {reason}", err=True)
        if json_path:
            files[json_path].part.write_text(json.dumps(report.figures(), indent=2) + "\n")
        if chart_path:
            files[chart_path].part.write_bytes(cv2.imencode(".png", draw_chart(report))[1].tobytes())
        for file in files.values():
            file.commit()


def _table(report: BenchReport) -> Table:
    from rich.table import Table

    height, width = report.frame_hw
    table = Table("what", "ms a frame", "FPS", title=f"{report.engine}, {width}x{height}, {report.frames} frames")
    for name, milliseconds in report.stages_ms.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{1000 / milliseconds:.1f}")
    table.add_section()
    for name, fps in (
        ("bare engine", report.engine_fps),
        ("frames in memory to labels", report.labels_fps),
        ("whole pipeline", report.pipeline_fps),
    ):
        table.add_row(name, f"{1000 / fps:.2f}", f"{fps:.1f}")
    table.add_row("pipeline over engine", "", f"{report.ratio:.2f}")
    table.add_row("labels over engine", "", f"{report.labels_ratio:.2f}")
    table.add_section()
    for name, milliseconds in report.latency_ms.items():
        table.add_row(f"latency {name}", f"{milliseconds:.2f}", "")
    table.add_section()
    for name, other in report.against.items():
        table.add_row(name, f"{other.ms:.2f}", f"{1000 / other.ms:.1f}")
        table.add_row(f"{name} over engine", f"{other.ratio:.2f}", "")
    if report.gpu:
        _add_gpu(table, report.gpu)
    return table


def _add_gpu(table: Table, gpu: GpuReport) -> None:
    table.add_section()
    table.add_row(f"on the {gpu.gpu}", "ms", "FPS")
    for name, milliseconds in (("network, launched anew", gpu.engine_ms), ("network, as a graph", gpu.engine_graph_ms)):
        if milliseconds is not None:
            table.add_row(name, f"{milliseconds:.3f}", f"{1000 * gpu.batch / milliseconds:.1f}")
    table.add_section()
    table.add_row("", "us", "GB/s, of a copy's")
    for name, gbps in (("upload", gpu.upload_gbps), ("download", gpu.download_gbps), ("copy", gpu.copy_gbps)):
        table.add_row(name, "", f"{gbps:.1f}")
    for name, kernel in gpu.kernels.items():
        table.add_row(name, f"{kernel.us:.1f}", f"{kernel.gbps:.1f}, {kernel.of_copy:.2f}")
