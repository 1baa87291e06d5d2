"""`rtparse video`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import effects, encoding, options

if TYPE_CHECKING:
    from rtparse.cli.targets import Target
    from rtparse.cli.work import Job
    from rtparse.sinks import Sink
    from rtparse.sources import Source

AT_ONCE = 8
"""Inputs that are parsed side by side; of more, the next ones start when these have ended."""


@click.command("video")
@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@options.engine
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="[default: IN.parsed.mp4, .mov for a cut-out]",
)
@options.outputs
@effects.option
@options.smooth
@options.roi
@options.follow
@options.device
@options.latency
@options.codecs
@click.option("--show", is_flag=True, help="Show the frames in a window; q or Esc ends.")
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    engine: str | None,
    backend: str | None,
    size: str,
    output: Path | None,
    view: str,
    alpha: float,
    palette: str | None,
    classes: str | None,
    masks: Path | None,
    jsonl: Path | None,
    rle: bool,
    yes: bool,
    effects_given: tuple[str, ...],
    smooth: float,
    roi: str | None,
    follow: bool,
    device: tuple[int, ...],
    latency: bool,
    decode: str,
    encode: str,
    show: bool,
) -> None:
    """Parse each IN: a video file, a folder of images, a URL or a camera's number.

    The result is an H.264 file with IN's sound that any browser plays, a legend of the classes in view on every frame.

    Several IN are parsed side by side by one model, live ones too. For them -o, --masks and --jsonl name folders, which
    get one output for each; one that fails does not stop the others.
    """
    from rtparse.cli.targets import make_folders, targets
    from rtparse.cli.work import INTERRUPTED, Job, SideOutputs, keep_existing, keep_filled, run
    from rtparse.errors import RtparseError
    from rtparse.parser import Parser
    from rtparse.render import Renderer
    from rtparse.sinks import PngFolderSink, WindowSink, video_format

    chain = effects.chosen(ctx, effects_given)
    clear = chain is not None and chain.alpha
    made = targets(sources, output, masks, jsonl, alpha=clear)
    sides = {target: SideOutputs(target.masks, target.jsonl, rle, yes) for target in made}
    for target, side in sides.items():
        side.check()
        if clear and effects.is_folder(target.output):
            keep_filled(target.output, yes)
        else:
            keep_existing(target.output, yes)
            video_format(target.output, alpha=clear)
            encoding.check(target.output, encode, alpha=clear)
    names = [name.strip() for name in classes.split(",")] if classes else None

    def job(target: Target, source: Source, number: int) -> Job:
        # A renderer's legend remembers what one source has shown.
        drawn = chain or Renderer(view, alpha=alpha, classes=names)
        gpu = device[number % len(device)] if device else 0
        picture: Callable[[], Sink] = partial(PngFolderSink, target.output, drawn)
        if not (clear and effects.is_folder(target.output)):
            sound = target.source if source.info.audio else None
            picture = partial(
                encoding.video_sink, target.output, source, drawn, sound, encode=encode, gpu=gpu, alpha=clear
            )
        window = partial(WindowSink, f"rtparse {target.source}", drawn) if show else None
        return Job(source, {target.output: picture, **sides[target].outputs()}, window)

    code = 0
    with Parser(
        engine,
        backend=backend,
        size=size,
        smooth=smooth,
        roi=roi,
        follow=follow,
        palette=palette,
        device=device,
        latency=latency,
        decode=decode,
    ) as parser:
        parser.check_classes([*(names or ()), *(chain.classes if chain else ())])
        for group in (made[first : first + AT_ONCE] for first in range(0, len(made), AT_ONCE)):
            with ExitStack() as opened:
                jobs: list[Job] = []
                for target in group:
                    try:
                        number = len(jobs)
                        source = opened.enter_context(parser.open(target.source, number))
                        jobs.append(job(target, source, number))
                    except RtparseError as error:
                        if len(made) == 1:
                            raise
                        click.echo(f"error: {error}", err=True)
                        code = 1
                if jobs:
                    make_folders(made)
                    code = max(code, run(parser, jobs))
            if code == INTERRUPTED:
                break
    ctx.exit(code)
