"""`rtparse video`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from rtparse.cli import options


@click.command("video")
@click.argument("source", metavar="IN")
@options.engine
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT", help="[default: IN.parsed.mp4]")
@options.outputs
@click.option(
    "--smooth",
    type=click.FloatRange(0, 0.99),
    default=0.0,
    show_default=True,
    help="Damp flicker: share of the past in a running mean of logits, which starts anew at a cut.",
)
@click.option("--show", is_flag=True, help="Show the frames in a window; q or Esc ends.")
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
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
    smooth: float,
    show: bool,
) -> None:
    """Parse IN: a video file, a folder of images, a URL or a camera's number.

    The result is an H.264 file with IN's sound that any browser plays, a legend of the classes in view on every frame.
    """
    from rtparse.cli.work import SideOutputs, keep_existing, run
    from rtparse.errors import UsageError
    from rtparse.parser import Parser
    from rtparse.render import Renderer
    from rtparse.sinks import Sink, VideoSink, WindowSink
    from rtparse.sources import open_source

    side = SideOutputs(masks, jsonl, rle, yes)
    side.check()
    output = output or default_output(source)
    if Path(source).exists() and output.exists() and output.samefile(source):
        raise UsageError(f"{output} is the input itself", "choose another name with -o")
    keep_existing(output, yes)
    names = [name.strip() for name in classes.split(",")] if classes else None
    parser = Parser(engine, backend=backend, size=size, smooth=smooth, palette=palette)
    with parser, open_source(source) as opened:
        parser.check_classes(names)
        renderer = Renderer(view, alpha=alpha, classes=names)
        audio = source if opened.info.audio else None
        outputs: dict[Path, Callable[[], Sink]] = {
            output: partial(VideoSink, output, opened.info, renderer, audio),
            **side.outputs(),
        }
        window = partial(WindowSink, f"rtparse {source}", renderer) if show else None
        ctx.exit(run(parser, opened, outputs, window))


def default_output(source: str) -> Path:
    """IN.parsed.mp4 beside a file or folder, in the current folder for a URL or a camera."""
    path = Path(source)
    if path.is_dir():
        resolved = path.resolve()
        return resolved.parent / f"{resolved.name}.parsed.mp4"
    if path.is_file():
        return path.with_name(f"{path.stem}.parsed.mp4")
    if source.isdigit():
        return Path(f"camera-{source}.parsed.mp4")
    stem = Path(urlsplit(source).path).stem or urlsplit(source).netloc or "stream"
    return Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)}.parsed.mp4")
