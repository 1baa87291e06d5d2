"""`python -m rtparse.train.evaluate`: judge a model file by the runtime that users run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rtparse.classes import CLASSES
from rtparse.cli import main
from rtparse.parser import Parser
from rtparse.train.compose import Pair
from rtparse.train.data import pair_paths, read_pair
from rtparse.train.metrics import Scores, confusion, scores
from rtparse.train.wild import COUNT, wild_frames


def evaluate(parser: Parser, pairs: Iterable[Pair]) -> Scores:
    """Scores of a parser on labelled pictures, at the labels' resolution."""
    return scores([confusion(pair.labels, parser(pair.image).labels) for pair in pairs])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--engine", default=None, help="Model file or name; the built-in model without it.")
@click.option("--photos", type=click.Path(path_type=Path), required=True, help="Folder with images/ and labels/.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every Nth photo.")
@click.option("--wild", is_flag=True, help="Compose the photos into the frames of `wild` and judge on those.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(engine: str | None, photos: Path, every: int, wild: bool, as_json: bool) -> None:
    """Judge a model on labelled photos: single ones letterboxed to the model's size, `wild` frames at their aspect."""
    pairs = [read_pair(*paths) for paths in pair_paths(photos)[::every]]
    frames: Iterator[Pair] = wild_frames(pairs) if wild else iter(pairs)
    console = Console(stderr=True)
    with Parser(engine) as opened:
        size = opened.engine.metadata.size_hw
    with Parser(engine, size="auto" if wild else size) as parser:
        found = evaluate(parser, track(frames, "evaluating", COUNT if wild else len(pairs), console=console))
    (_print_json if as_json else _print_table)(found)


def _print_json(found: Scores) -> None:
    report = {
        "miou": found.miou,
        "interval": found.interval,
        "miou_merged": found.miou_merged,
        "pixel_accuracy": found.pixel_accuracy,
        "mean_accuracy": found.mean_accuracy,
        "person_iou": found.person_iou,
        "iou": {name: None if np.isnan(iou) else float(iou) for name, iou in zip(CLASSES, found.iou, strict=True)},
    }
    click.echo(json.dumps(report, indent=2))


def _print_table(found: Scores) -> None:
    table = Table("figure", "value")
    table.add_row("mIoU", f"{found.miou:.4f}  (95 %: {found.interval[0]:.4f} to {found.interval[1]:.4f})")
    table.add_row("mIoU, left and right merged", f"{found.miou_merged:.4f}")
    table.add_row("pixel accuracy", f"{found.pixel_accuracy:.4f}")
    table.add_row("mean accuracy", f"{found.mean_accuracy:.4f}")
    table.add_row("person IoU", f"{found.person_iou:.4f}", end_section=True)
    for name, iou in zip(CLASSES, found.iou, strict=True):
        table.add_row(name, "not in the labels" if np.isnan(iou) else f"{iou:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main(command)
