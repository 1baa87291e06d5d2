"""`python -m rtparse.train`: train C-DLinkNet on folders of labelled pictures."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rtparse.cli import main
from rtparse.errors import UsageError
from rtparse.train.checkpoint import load_checkpoint
from rtparse.train.data import pair_paths, read_pair
from rtparse.train.loop import TrainOptions, train, unfolding_pictures
from rtparse.train.losses import rare_class_weights
from rtparse.train.mix import Mix, MixWeights
from rtparse.train.model import PRESETS, build_model
from rtparse.train.pretrained import load_imagenet

DEV_EVERY = 14
"""Every 14th photo, by file name, is kept from training; models are selected on those, never on val."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--photos", type=click.Path(path_type=Path), required=True, help="Folder with images/ and labels/.")
@click.option("--synthetic", type=click.Path(path_type=Path), help="Folder of rendered pairs, the same layout.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the run; continued if it exists."
)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="small", show_default=True)
@click.option(
    "--encoder-weights", help="ImageNet file of the encoder: .pth (path or URL), .safetensors or folded .npz."
)
@click.option("--init", type=click.Path(path_type=Path), help="Start from a checkpoint (.safetensors) instead.")
@click.option("--steps", type=click.IntRange(1), required=True)
@click.option("--batch", type=click.IntRange(2), default=16, show_default=True)
@click.option("--pixels", type=click.IntRange(4096), default=256 * 192, show_default=True, help="Height times width.")
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--synthetic-share", type=click.FloatRange(0, 0.9), default=0.15, show_default=True)
def command(
    photos: Path,
    synthetic: Path | None,
    out: Path,
    preset: str,
    encoder_weights: str | None,
    init: Path | None,
    steps: int,
    batch: int,
    pixels: int,
    lr: float,
    seed: int,
    synthetic_share: float,
) -> None:
    """Train C-DLinkNet. Ctrl-C saves; the same command continues."""
    options = TrainOptions(steps=steps, batch=batch, pixels=pixels, lr=lr, seed=seed)
    console = Console(stderr=True)
    pairs = [read_pair(*paths) for number, paths in enumerate(pair_paths(photos)) if number % DEV_EVERY]
    rendered = [read_pair(*paths) for paths in pair_paths(synthetic)] if synthetic else []
    console.print(f"{len(pairs)} photos, {len(rendered)} rendered pictures")
    real = (1 - synthetic_share) / 0.85
    mix = Mix(pairs, rendered, MixWeights(0.4 * real, 0.45 * real, synthetic_share), seed)
    if init and encoder_weights:
        raise UsageError("--init and --encoder-weights were both given", "give one of them")
    model = load_checkpoint(init)[0] if init else build_model(preset)
    if encoder_weights:
        load_imagenet(model.encoder, encoder_weights, unfolding_pictures(mix, options))
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    recent: list[float] = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=steps, loss=float("nan"))

        def show(step: int, loss: float) -> None:
            recent.append(loss)
            del recent[:-50]
            progress.update(task, completed=step, loss=float(np.mean(recent)))
            if step % 50 == 0:
                progress.print(f"{time.strftime('%H:%M:%S')} step {step} loss {np.mean(recent):.4f}")

        train(model, mix, options, out, preset, rare_class_weights(pairs), show)


if __name__ == "__main__":
    main(command)
