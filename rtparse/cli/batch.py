"""`rtparse batch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import options

if TYPE_CHECKING:
    from rtparse.batch.job import Video
    from rtparse.batch.report import Report
    from rtparse.batch.run import Plan

_SHOWN_PROBLEMS = 20


def _kept(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    from rtparse.batch.job import KEPT

    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names or not {*names} <= {*KEPT}:
        raise click.BadParameter(f"choose from: {', '.join(KEPT)}")
    return tuple(sorted(names))


@click.command("batch")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", required=True, metavar="URI", help="Folder of the outputs: a path, s3://, gs://, ...")
@click.option("--column", default="path", show_default=True, help="Of .parquet and .csv INPUTS: names the videos.")
@options.engine
@click.option(
    "--plan",
    "plans",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.plan",
    help="TensorRT plan of the same network, for workers whose GPU fits it. Repeat for several kinds of GPU.",
)
@click.option(
    "--ray",
    "ray_spec",
    default="auto",
    show_default=True,
    metavar="auto|local|HOST:PORT",
    help="The cluster: one that runs here or that RAY_ADDRESS names, else a local one.",
)
@click.option("--workers", type=click.IntRange(1), help="Most workers.  [default: as many as there is room for]")
@click.option("--cpus-per-worker", "cpus", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--gpus-per-worker",
    "gpus",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Share of a GPU for each worker that finds one; others run on CPUs.",
)
@click.option(
    "--keep",
    default="labels,stats",
    show_default=True,
    callback=_kept,
    metavar="labels,overlay,stats",
    help="labels.mkv, overlay.mp4, parts.parquet.",
)
@click.option(
    "--smooth",
    type=click.FloatRange(0, 0.99),
    default=0.0,
    show_default=True,
    help="Damp flicker: share of the past in a running mean of logits.",
)
@click.option(
    "--segment",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Cut longer videos into parts of about this length; 0 cuts none.",
)
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True, help="Of a video that fails.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the report here too.")
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    inputs: tuple[str, ...],
    out: str,
    column: str,
    engine: str | None,
    backend: str | None,
    size: str,
    plans: tuple[Path, ...],
    ray_spec: str,
    workers: int | None,
    cpus: int,
    gpus: float,
    keep: tuple[str, ...],
    smooth: float,
    segment: float,
    retries: int,
    json_path: Path | None,
) -> None:
    """Parse many videos on a Ray cluster.

    INPUTS are videos, folders, patterns, lists (.txt) and tables (.parquet, .csv), on disk or s3://, gs://, http://.

    Each video gets a folder under --out; manifest.parquet there says what became of it. A run that is interrupted or
    killed goes on when it is started again.
    """
    from rtparse.batch import require
    from rtparse.cli.terminal import console
    from rtparse.errors import UsageError
    from rtparse.preprocess import fixed_size

    require()
    from rtparse.batch.inputs import find_videos
    from rtparse.batch.job import Options
    from rtparse.batch.models import read_model
    from rtparse.batch.plan import Cutting
    from rtparse.batch.run import Plan
    from rtparse.batch.store import Store
    from rtparse.sinks.partial import PartialFile, write_errors

    if plans and not gpus:
        raise UsageError("got --plan without --gpus-per-worker", "add --gpus-per-worker 1")
    fixed_size(size, None)
    with console.status("looking for videos"):
        videos = find_videos(inputs, column)
    model = read_model(engine, plans, backend)
    store = Store(out)
    store.prepare()
    told = PartialFile(json_path) if json_path else None
    chosen = Options(model.network.sha256, keep, size, smooth, backend)
    plan = Plan(store, chosen, model, Cutting(segment, smooth), cpus, gpus, workers, retries)
    try:
        report = _run(plan, videos, ray_spec)
        if told:
            with write_errors(told.path):
                told.part.write_bytes(report.to_json())
            told.commit()
    finally:
        if told:
            told.discard()
    _tell(report, store.uri)
    ctx.exit(report.exit_code)


def _run(plan: Plan, videos: list[Video], ray_spec: str) -> Report:
    import logging

    from rtparse.batch.cluster import connected, local_cpus
    from rtparse.batch.run import run
    from rtparse.cli.batch_progress import batch_progress
    from rtparse.cli.interrupt import stopping

    verbose = logging.getLogger("rtparse").isEnabledFor(logging.DEBUG)
    # Ctrl-C never strikes within Ray: a process that leaves it half started or half ended crashes.
    cluster = connected(ray_spec, local_cpus(plan.workers, plan.cpus), verbose=verbose)
    with stopping() as stop, cluster as ray, batch_progress() as view:
        return run(ray, plan, videos, view, stop)


def _tell(report: Report, out: str) -> None:
    from rich.table import Table

    from rtparse.cli.terminal import results

    table = Table("what", "count", title=out)
    for what in ("videos", "skipped", "done", "damaged", "failed", "frames"):
        table.add_row(what, str(getattr(report, what)))
    table.add_row("seconds", f"{report.seconds:.1f}")
    table.add_row("frames a second", f"{report.frames / report.seconds:.1f}")
    table.add_row("CPU seconds of the workers", f"{report.cpu_seconds:.1f}")
    if report.workers:
        table.add_section()
    for worker in report.workers:
        table.add_row(f"{worker.name}, {worker.device}", f"{worker.frames} frames in {worker.seconds:.1f} s")
    results.print(table)
    for video, error in report.problems[:_SHOWN_PROBLEMS]:
        click.echo(f"error: {video}: {error}", err=True)
    if (more := len(report.problems) - _SHOWN_PROBLEMS) > 0:
        click.echo(f"error: and {more} more, see report.json and manifest.parquet", err=True)
    if report.interrupted:
        click.echo("interrupted: run the command again to go on", err=True)
