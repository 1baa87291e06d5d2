"""What `rtparse train` does once it is known what was meant. Needs the extra `train`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtparse.cli.interrupt import Interrupt
from rtparse.cli.terminal import console
from rtparse.errors import UsageError
from rtparse.metadata import SIZE_MULTIPLE
from rtparse.preprocess import fixed_size
from rtparse.train.data import HOLD_OUT, has_own_val, open_dataset
from rtparse.train.fabric import open_fabric, settled
from rtparse.train.model import PRESETS
from rtparse.train.progress import TrainProgress
from rtparse.train.recipe import RECIPES, Recipe
from rtparse.train.run import Listener, RunOptions, checked, train

_NETWORK = ("encoder", "context", "smooth", "deep_supervision")
_RUN = ("steps", "encoder_weights", "init", "teacher", "workers", "save_every", "palette")


def run_options(preset: str, data: tuple[tuple[str, float], ...], out: Path, given: Mapping[str, Any]) -> RunOptions:
    """The options of a run: the preset's, but for those that were given (not None).

    Raises UsageError for two that exclude each other.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for one, other in (("init", "encoder_weights"), ("steps", "epochs"), ("size", "pixels")):
        if one in chosen and other in chosen:
            names = [f"--{name.replace('_', '-')}" for name in (one, other)]
            raise UsageError(f"{names[0]} and {names[1]} were both given", "give one of them")
    if "teacher_weight" in chosen and "teacher" not in chosen:
        raise UsageError("--teacher-weight was given without --teacher", "add --teacher CKPT")
    network = {name: chosen.pop(name) for name in _NETWORK if name in chosen}
    run = {name: chosen.pop(name) for name in _RUN if name in chosen}
    return RunOptions(out, preset, replace(PRESETS[preset], **network), _recipe(preset, chosen), data, **run)


def _recipe(preset: str, chosen: dict[str, Any]) -> Recipe:
    if "size" in chosen:
        chosen["size_hw"] = fixed_size(chosen.pop("size"), None)
    elif "pixels" in chosen:
        chosen["size_hw"] = None
    if chosen.get("window", 0) % SIZE_MULTIPLE:
        raise UsageError(f"--window is {chosen['window']}", f"give a multiple of {SIZE_MULTIPLE}")
    return settled(replace(RECIPES[preset], **chosen))


def check_data(specs: Sequence[str], hold_out: int | None) -> None:
    """Read every pair of the datasets and say how many there are. Raises SourceError naming those that are wrong."""
    data = [open_dataset(spec, "train", hold_out or 0) for spec in specs]
    with TrainProgress(console) as progress:
        reports = checked(data, progress.pair_checked)
    for dataset, report in zip(data, reports, strict=True):
        count = f"{len(report.present)} pairs" if len(report.present) else "rendered, right by construction"
        console.print(f"{dataset.name}: {count}", soft_wrap=True)


def train_and_report(preset: str, data: tuple[tuple[str, float], ...], out: Path, given: Mapping[str, Any]) -> None:
    """Train with progress on the terminal. The last lines say where the model is and what comes next."""
    run = run_options(preset, data, out, given)
    fabric = open_fabric(run.recipe.precision)
    console.quiet = console.quiet or not fabric.is_global_zero
    with Interrupt() as interrupt, TrainProgress(console) as progress:
        listener = Listener(
            say=lambda line: console.print(line, soft_wrap=True),
            on_pair=progress.pair_checked,
            on_start=progress.start,
            on_step=progress.step,
            shielded=interrupt.shielded,
            held=lambda: interrupt.held,
        )
        model = train(fabric, run, listener)
    console.print(f"the model is {model}", soft_wrap=True)
    console.print(f"judge it: {shlex.join(['rtparse', 'eval', '--engine', str(model), *unseen(run)])}", soft_wrap=True)
    export = ["rtparse", "export", "--weights", str(model), "--to", str(model.with_suffix(".onnx"))]
    console.print(f"export it: {shlex.join(export)}", soft_wrap=True)


def unseen(run: RunOptions) -> list[str]:
    """The options of `rtparse eval` for pictures that the run has not seen, of folder:PATH where it saw all; the
    paper's run with its flip test."""
    spec = next((spec for spec, _ in run.data if spec != "synthetic"), None)
    if spec is None or not (run.recipe.hold_out or _has_own_val(spec)):
        options = ["--data", "folder:PATH"]
    elif not run.recipe.hold_out:
        options = ["--data", spec]
    else:
        options = ["--data", spec, "--split", "held-out"]
        options += ["--hold-out", str(run.recipe.hold_out)] if run.recipe.hold_out != HOLD_OUT else []
    return [*options, "--flip"] if run.recipe.style == "paper" else options


def _has_own_val(spec: str) -> bool:
    try:
        return has_own_val(spec)
    except UsageError:  # ATR has no val unless somebody lists one
        return False
