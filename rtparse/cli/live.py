"""`rtparse live`."""

from __future__ import annotations

import math
import re
from contextlib import ExitStack
from pathlib import Path

import click

from rtparse.cli import effects, options
from rtparse.cli.duration import Duration


@click.command("live")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@options.engine
@options.views
@effects.option
@options.smooth
@options.roi
@options.follow
@options.device
@options.latency
@click.option("--show", is_flag=True, help="Show the frames in a window each; q or Esc ends.")
@click.option("--record", type=click.Path(path_type=Path), metavar="DIR", help="Record as MP4 files, named by time.")
@click.option("--segment", type=Duration(), default="10m", show_default=True, help="Length of a recorded file.")
@click.option(
    "--to",
    "urls",
    multiple=True,
    metavar="URL",
    help="Send as rtsp://, rtmp:// or udp://; of several SOURCE, give it once for each.",
)
@click.option("--virtual-camera", is_flag=True, help="Show to other programs as a camera.")
@click.option("--labels-to-stdout", is_flag=True, help="Write class ids to standard output, a byte a pixel.")
@click.option(
    "--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="Write shares and boxes as JSON, line by line."
)
@click.option("--rle", is_flag=True, help="Add COCO run lengths to --jsonl.")
@click.option("-y", "--yes", is_flag=True, help="Replace existing files of --jsonl and --stats.")
@click.option(
    "--stats", type=click.Path(path_type=Path), metavar="FILE", help="Write statistics as JSON, line by line."
)
@click.option(
    "--stdin", metavar="WxH:FORMAT", help="Read raw frames from standard input: 1280x720:bgr24 (rgb24, gray)."
)
@click.option("--capture-size", metavar="WxH", help="Ask cameras and the screen for this size.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Ask cameras and the screen for this rate.")
@click.option("--mjpeg", is_flag=True, help="Ask cameras for MJPEG, which many need for large pictures.")
@click.option(
    "--transport", type=click.Choice(["tcp", "udp"]), default="tcp", show_default=True, help="What carries RTSP."
)
@click.option(
    "--timeout",
    type=Duration(),
    default="5s",
    show_default=True,
    help="Without a frame for so long, a source is opened anew.",
)
@click.option("--keep-all", is_flag=True, help="Parse and record every frame, though it be late.")
@click.option("--for", "seconds", type=Duration(), help="End after so long.  [default: Ctrl-C]")
@options.verbosity
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    engine: str | None,
    backend: str | None,
    size: str,
    view: str,
    alpha: float,
    palette: str | None,
    classes: str | None,
    effects_given: tuple[str, ...],
    smooth: float,
    roi: str | None,
    follow: bool,
    device: tuple[int, ...],
    latency: bool,
    show: bool,
    record: Path | None,
    segment: float,
    urls: tuple[str, ...],
    virtual_camera: bool,
    labels_to_stdout: bool,
    jsonl: Path | None,
    rle: bool,
    yes: bool,
    stats: Path | None,
    stdin: str | None,
    capture_size: str | None,
    fps: float | None,
    mjpeg: bool,
    transport: str,
    timeout: float,
    keep_all: bool,
    seconds: float | None,
) -> None:
    """Parse live sources until Ctrl-C: a camera (0, /dev/video0), a URL (rtsp, rtmp, http, udp, ...), the screen
    (screen, screen:DEVICE), a GStreamer pipeline (in quotes).

    The newest frame wins, and a source that fails is opened again. Outputs may be combined; one that fails is dropped
    and the others go on. Ctrl-C and SIGTERM leave whole files and exit with 0.
    """
    from rtparse.cli.live_outputs import LiveOutputs, source_names
    from rtparse.cli.live_run import run
    from rtparse.cli.work import keep_existing
    from rtparse.errors import UsageError
    from rtparse.parser import Parser
    from rtparse.render import Renderer
    from rtparse.sources.live import LiveOptions
    from rtparse.sources.live_open import open_live

    specs = [*sources, *([f"stdin:{stdin}"] if stdin else [])]
    if not specs:
        raise UsageError("no SOURCE was given", "name a camera (0), a URL, screen, or --stdin WxH:FORMAT")
    chain = effects.chosen(ctx, effects_given)
    if chain is not None and chain.alpha:
        raise UsageError("a cut-out has alpha, which no live output carries", "use --effect background:#00ff00")
    shown = [name.strip() for name in classes.split(",")] if classes else None
    wanted = LiveOptions(
        size=_size_wh(capture_size),
        fps=fps,
        mjpeg=mjpeg,
        transport="udp" if transport == "udp" else "tcp",
        keep_all=keep_all,
        frame_timeout=timeout,
    )
    named = source_names(specs)
    plan = LiveOutputs(
        names=named,
        view=lambda: chain or Renderer(view, alpha=alpha, classes=shown),
        show=show,
        record=record,
        segment=segment,
        urls=urls,
        virtual_camera=virtual_camera,
        labels=labels_to_stdout,
        jsonl=jsonl,
        rle=rle,
        keep_all=keep_all,
    )
    plan.check()
    for path in filter(None, [*plan.jsonl_files, stats]):
        keep_existing(path, yes)
    with ExitStack() as opened:
        # Before the model is loaded, so that what cannot be meant is told at once.
        live = [opened.enter_context(open_live(spec, wanted)) for spec in specs]
        parser = opened.enter_context(
            Parser(
                engine,
                backend=backend,
                size=size,
                smooth=smooth,
                roi=roi,
                follow=follow,
                palette=palette,
                device=device,
                latency=latency,
            )
        )
        parser.check_classes([*(shown or ()), *(chain.classes if chain else ())])
        ctx.exit(run(parser, live, plan.outputs(), seconds=seconds or math.inf, stats=stats, wait=keep_all))


def _size_wh(text: str | None) -> tuple[int, int] | None:
    from rtparse.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise UsageError(f"got --capture-size {text}", "expected WIDTHxHEIGHT, such as 1280x720")
    return int(found[1]), int(found[2])
