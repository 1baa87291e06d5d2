"""`rtparse image`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from rtparse.cli import effects, options


@click.command("image")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@options.engine
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT", help="[default: IN.parsed.png]")
@options.outputs
@effects.option
@options.roi
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    source: Path,
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
    roi: str | None,
) -> None:
    """Parse the picture IN and write what was found as a picture (.png, .jpg or .webp)."""
    from rtparse.cli.work import Job, SideOutputs, keep_existing, run
    from rtparse.errors import UsageError
    from rtparse.parser import Parser
    from rtparse.render import Renderer
    from rtparse.sinks import ImageSink, Sink, image_suffix
    from rtparse.sources import open_source

    if source.is_dir():
        raise UsageError(f"{source} is a folder", f"parse it as a video: rtparse video {source}")
    chain = effects.chosen(ctx, effects_given)
    side = SideOutputs(masks, jsonl, rle, yes)
    side.check()
    output = output or source.with_name(f"{source.stem}.parsed.png")
    keep_existing(output, yes)
    clear = chain is not None and chain.alpha
    image_suffix(output, alpha=clear)
    names = [name.strip() for name in classes.split(",")] if classes else None
    with Parser(engine, backend=backend, size=size, roi=roi, palette=palette) as parser, open_source(source) as opened:
        parser.check_classes([*(names or ()), *(chain.classes if chain else ())])
        if opened.info.frame_count != 1:
            raise UsageError(f"{source} is no single picture", f"parse it as a video: rtparse video {source}")
        drawn = chain or Renderer(view, alpha=alpha, classes=names)
        picture = partial(ImageSink, output, drawn, alpha=clear)
        outputs: dict[Path, Callable[[], Sink]] = {output: picture, **side.outputs()}
        ctx.exit(run(parser, [Job(opened, outputs)]))
