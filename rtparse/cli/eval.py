"""`rtparse eval`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from rtparse.cli import options
from rtparse.cli.averaging import averaging

if TYPE_CHECKING:
    from rtparse.parser import Parser
    from rtparse.train.compose import Pair
    from rtparse.train.data import Dataset
    from rtparse.train.evaluation.judge import Judgement
    from rtparse.train.evaluation.report import Report
    from rtparse.train.evaluation.temporal import Steadiness

WORST = 12
"""Pictures on the sheet of the worst."""


@click.command("eval")
@click.option("--engine", metavar="M", help="Model file or registered name.  [default: the built-in one]")
@options.backend
@click.option("--data", metavar="KIND:PATH", help="Labelled pictures: KIND is folder, lip, cihp or atr; or synthetic.")
@click.option("--video", metavar="CLIP", help="Judge how steady the labels are on a video, which needs no labels.")
@options.split
@click.option("--wild", is_flag=True, help="Compose the pictures into the frames of `wild` and judge on those.")
@click.option(
    "--every", type=click.IntRange(1), help="Take every Nth picture; with --wild, to compose frames of.  [default: 1]"
)
@averaging
@click.option("--smooth", type=click.FloatRange(0, 0.99), help="With --video, as in `rtparse video`.  [default: 0]")
@click.option(
    "--size",
    metavar="model|auto|HxW",
    help="Network input: that of the training, that of the frame's shape, or fixed.  "
    "[default: model; auto for --wild and --video]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.json, report.md and, of pictures, confusion.png and worst.png, over those of an earlier run.",
)
@options.palette
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown instead of tables.")
@options.verbosity
def command(
    engine: str | None,
    backend: str | None,
    data: str | None,
    video: str | None,
    split: str | None,
    hold_out: int | None,
    wild: bool,
    every: int | None,
    flip: bool,
    scales: tuple[float, ...],
    smooth: float | None,
    size: str | None,
    out: Path | None,
    palette: str | None,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Judge a model on labelled pictures, beside the figures of the paper, or its steadiness on a video.

    It runs as users run it. Single pictures are letterboxed to the model's own size, if it offers that; frames of
    `wild` and of videos keep their aspect ratio. For a video, optical flow tells which pixels should have kept their
    label.
    """
    from rtparse.cli.terminal import results
    from rtparse.errors import UsageError
    from rtparse.train.evaluation.opening import open_labelled, open_parser, split_name
    from rtparse.train.evaluation.report import Report, Subject
    from rtparse.train.writing import make_folder

    if (data is None) == (video is None):
        given = "both --data and --video" if data else "neither --data nor --video"
        raise UsageError(f"got {given}", "give one of them, such as --data folder:PATH")
    if video is not None and (wild or every or split or hold_out):
        raise UsageError("--wild, --every, --split and --hold-out are for --data", "leave them out with --video")
    options.check_split(split, hold_out)
    if data is not None and smooth is not None:
        raise UsageError("--smooth is for --video: single pictures have no past", "leave it out with --data")
    if palette is not None and (out is None or video is not None):
        advice = "leave it out with --video" if video else "add --out DIR, or leave it out"
        raise UsageError("--palette colours the pictures of --data that --out writes", advice)
    if as_json and as_markdown:
        raise UsageError("got both --json and --markdown", "give one of them; --out DIR writes both")
    size = size or ("auto" if wild or video else "model")
    with open_parser(
        engine, backend=backend, size=size, smooth=smooth or 0.0, flip=flip, scales=scales, palette=palette
    ) as parser:
        found: Judgement | Steadiness
        dataset = open_labelled(data, split or "val", every or 1, hold_out or 0) if data else None
        if out is not None:
            make_folder(out)  # before the work, which may take long
        if dataset is None:
            subject_of, found = str(video), _on_video(parser, str(video))
        else:
            part = split_name(str(data), split or "val")
            part += f", --hold-out {hold_out}" if hold_out else ""
            part += f", --every {every}" if every and every > 1 else ""
            subject_of = f"{data} ({part}{', composed as wild' if wild else ''})"
            found = _on_pictures(parser, dataset, wild)
        subject = Subject.of(parser, subject_of, size, flip, scales, smooth or 0.0)
        colours = parser.palette_rgb
    report = Report(subject, found)
    if as_json:
        click.echo(json.dumps(report.document(), indent=2))
    elif as_markdown:
        click.echo(report.markdown(), nl=False)
    else:
        for table in report.tables():
            results.print(table)
    if out is not None:
        _write(report, colours, out)


def _on_pictures(parser: Parser, dataset: Dataset, wild: bool) -> Judgement:
    from rtparse.cli.terminal import frame_progress
    from rtparse.train.evaluation.judge import judge
    from rtparse.train.wild import COUNT, wild_frames

    pairs: Iterator[tuple[str, Pair]]
    if wild:
        pairs = ((f"wild {number:03}", frame) for number, frame in enumerate(wild_frames(dataset)))
    else:
        pairs = ((_name(dataset, number), dataset[number]) for number in range(len(dataset)))
    with frame_progress() as progress:
        shown = progress.track(pairs, total=COUNT if wild else len(dataset), description="judging")
        return judge(parser, shown, WORST)


def _name(dataset: Dataset, number: int) -> str:
    return next((path.name for path in dataset.paths(number)), f"{dataset.name} {number:03}")


def _on_video(parser: Parser, clip: str) -> Steadiness:
    from rtparse.cli.terminal import frame_progress
    from rtparse.train.evaluation.temporal import steadiness

    with parser.stream(clip) as stream, frame_progress() as progress:
        return steadiness(progress.track(stream, total=stream.info.frame_count, description="judging"))


def _write(report: Report, palette_rgb: NDArray[np.uint8], folder: Path) -> None:
    from rtparse.sinks.partial import write_whole
    from rtparse.train.evaluation.judge import Judgement
    from rtparse.train.evaluation.sheets import confusion_picture, worst_sheet
    from rtparse.train.writing import png

    if isinstance(report.found, Judgement):
        write_whole(folder / "confusion.png", png(confusion_picture(report.found.confusion)))
        write_whole(folder / "worst.png", png(worst_sheet(report.found.worst, palette_rgb)))
    write_whole(folder / "report.md", report.markdown().encode())
    write_whole(folder / "report.json", f"{json.dumps(report.document(), indent=2)}\n".encode())
