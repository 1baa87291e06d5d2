"""`rtparse balance`."""

from __future__ import annotations

from pathlib import Path

import click

from rtparse.cli import options

EVERY, FRAMES = 4, 110
"""Of the training photos every fourth is used as it is, and every fourth in composed frames, of which there are 110."""

MOST_PHOTOS = 400
"""About so many are used as they are: of more, each at 1 MB of logits, fewer than every fourth."""

FEWEST_PHOTOS = EVERY + 2
"""From so many on, two photos are there to compose frames of."""


@click.command("balance")
@click.option(
    "--weights", type=click.Path(path_type=Path), required=True, help="Checkpoint (.safetensors) of training."
)
@click.option("--data", metavar="KIND:PATH", required=True, help="Its training pictures: folder, lip, cihp or atr.")
@click.option(
    "--hold-out", type=click.IntRange(0), metavar="N", help="As in `rtparse train`, 0 for none.  [default: 14]"
)
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="Checkpoint to write.")
@click.option("-y", "--yes", is_flag=True, help="Replace an existing file.")
@options.verbosity
def command(weights: Path, data: str, hold_out: int | None, target: Path, yes: bool) -> None:
    """Shift the classes of a trained network so that its mIoU is highest.

    The shifts are fitted on training photos, single and composed into frames, never on those held out.
    """
    from rtparse.cli.terminal import console
    from rtparse.cli.work import check_place, keep_existing
    from rtparse.errors import MissingDependencyError, UsageError

    if target.suffix != ".safetensors":
        raise UsageError(f"--to is {target}", "expected a name ending in .safetensors")
    keep_existing(target, yes)
    check_place(target)
    try:
        import torch

        from rtparse.engines.torch_engine import TorchEngine
        from rtparse.train.checkpoint import load_checkpoint, save_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "train") from None
    from itertools import islice

    from rtparse.classes import CLASSES
    from rtparse.train.balance import fit_shifts, sample
    from rtparse.train.data import HOLD_OUT, RenderedPeople, open_dataset
    from rtparse.train.wild import wild_frames

    photos = open_dataset(data, "train", HOLD_OUT if hold_out is None else hold_out)
    if isinstance(photos, RenderedPeople):
        raise UsageError("--data is synthetic, which has no end", "give photos, such as folder:PATH")
    if len(photos) < FEWEST_PHOTOS:
        raise UsageError(f"{data} has {len(photos)} photos to fit on", f"expected {FEWEST_PHOTOS} or more")
    every = max(EVERY, len(photos) // MOST_PHOTOS)
    with TorchEngine(weights) as engine, console.status("parsing training photos"):
        samples = [
            sample(engine, photos[::every]),
            sample(engine, islice(wild_frames(photos[1::every]), FRAMES)),
        ]
    with console.status("fitting"):
        shifts = fit_shifts(samples)
    model, metadata = load_checkpoint(weights)
    bias = model.classify.bias
    assert bias is not None  # every CDLinkNet has one
    with torch.no_grad():
        bias += torch.from_numpy(shifts)
    save_checkpoint(model, target, metadata)
    before, after = (", ".join(f"{each.miou(moved):.4f}" for each in samples) for moved in (shifts * 0, shifts))
    console.print(f"{target}: mIoU of photos, frames {before} -> {after}", soft_wrap=True)
    moved = ", ".join(f"{name} {by:+.1f}" for name, by in zip(CLASSES, shifts, strict=True) if by)
    console.print(f"shifts: {moved or 'none'}", soft_wrap=True)
