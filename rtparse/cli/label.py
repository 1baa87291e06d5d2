"""`rtparse label`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from rtparse.cli import options
from rtparse.cli.averaging import averaging

if TYPE_CHECKING:
    from rtparse.parser import Parser
    from rtparse.train.evaluation.labelling import LabelledFolder


@click.command("label")
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for images/ and labels/; an interrupted run goes on there.",
)
@options.engine
@averaging
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Pixels whose class is less probable become 255 and do not train.",
)
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    photos: Path,
    target: Path,
    engine: str | None,
    backend: str | None,
    size: str,
    flip: bool,
    scales: tuple[float, ...],
    confidence: float,
) -> None:
    """Label the pictures of the folder PHOTOS with a model, so that another one can be trained on them.

    `rtparse train --data folder:DIR` reads the result. The pictures in it are hard links where that is possible.
    """
    from rtparse.train.evaluation.labelling import LabelledFolder, Method, pictures_in
    from rtparse.train.evaluation.opening import model_identity, open_parser

    pictures = pictures_in(photos)
    with open_parser(engine, backend=backend, size=size, flip=flip, scales=scales, confidence=confidence) as parser:
        name, sha256 = model_identity(parser)
        method = Method(name, sha256, size, flip, scales, confidence)
        ctx.exit(_label(parser, pictures, LabelledFolder(target, method), target))


def _label(parser: Parser, pictures: list[Path], folder: LabelledFolder, target: Path) -> int:
    from rtparse.classes import IGNORE_LABEL
    from rtparse.cli.interrupt import Interrupt
    from rtparse.cli.terminal import console, frame_progress
    from rtparse.errors import SourceError
    from rtparse.sources.images import read_image
    from rtparse.train.evaluation.labelling import confident_labels

    shares: list[float] = []
    kept, broken, interrupted = 0, [], False
    with Interrupt() as interrupt, frame_progress() as progress:
        try:
            for picture in progress.track(pictures, description="labelling"):
                try:
                    if folder.has_label(picture):
                        kept += 1
                    else:
                        labels = confident_labels(parser, read_image(picture))
                        with interrupt.shielded():
                            folder.write_label(picture, labels)
                            shares.append(float(np.mean(labels == IGNORE_LABEL)))
                    with interrupt.shielded():
                        folder.add_picture(picture)
                except SourceError as error:
                    broken.append(str(error))
        except KeyboardInterrupt:
            interrupted = True
    done = f"{len(shares)} pictures labelled"
    if shares:
        done += f", {np.mean(shares):.1%} of their pixels ignored"
    if kept:
        done += f", {kept} were labelled before"
    if interrupted:
        click.echo(f"interrupted: {done}; run the command again to go on", err=True)
        return 130
    console.print(f"{target}: {done}", soft_wrap=True)
    for line in broken:
        click.echo(f"skipped: {line}", err=True)
    return 1 if broken else 0
