"""A training run from its options: data, network and loop put together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from rtparse.classes import palette_rgb
from rtparse.errors import SourceError, UsageError
from rtparse.train.board import Board
from rtparse.train.checkpoint import load_checkpoint, take_over
from rtparse.train.data import CheckReport, Dataset, RenderedPeople, check, open_dataset
from rtparse.train.fabric import batch_workers, cache_bytes
from rtparse.train.loop import MODEL, Plan, StepReport, Trainer, normalized
from rtparse.train.losses import ParsingLoss, rare_class_weights
from rtparse.train.mix import Mix
from rtparse.train.model import CDLinkNet, ModelConfig
from rtparse.train.pretrained import FOLDED, load_imagenet
from rtparse.train.recipe import Recipe
from rtparse.train.resume import RESUME, load_state, run_folder

UNFOLDING_PICTURES = 48
"""Pictures that a folded encoder is unfolded on."""

PROBLEMS_SHOWN = 20

_FREE = ("epochs", "accumulate", "compile")
"""Fields of the recipe that may change when a run goes on."""

JUDGE_EVERY = 500
"""Steps between two judgements on the held-out pictures."""


@dataclass(frozen=True)
class RunOptions:
    """What `rtparse train` was asked for.

    data: (spec of `open_dataset`, weight) pairs. steps: None for `recipe.epochs`. init, teacher: checkpoints.
    encoder_weights: see `load_imagenet`. workers: see `Plan`, None for what suits the machine. save_every: minutes.
    palette: of `rtparse.classes.PALETTES`, for the run's pictures.
    """

    out: Path
    preset: str
    config: ModelConfig
    recipe: Recipe
    data: tuple[tuple[str, float], ...]
    steps: int | None = None
    encoder_weights: str | None = None
    init: Path | None = None
    teacher: Path | None = None
    workers: int | None = None
    save_every: float = 5.0
    palette: str = "default"

    def record(self) -> dict[str, object]:
        """What must not change when the run goes on: all but its length, its pictures, and how it fits a machine."""
        chosen = {
            "preset": self.preset,
            "data": " ".join(f"{spec}@{weight:g}" for spec, weight in self.data),
            "encoder-weights": self.encoder_weights,
            "init": self.init,
            "teacher": self.teacher,
        }
        fields = chain(dataclasses.asdict(self.config).items(), dataclasses.asdict(self.recipe).items())
        recorded = {name.replace("_", "-"): value for name, value in fields if name not in _FREE}
        size = recorded.pop("size-hw")
        return chosen | recorded | {"size": "{}x{}".format(*size) if size else None}


@dataclass(frozen=True, eq=False)
class Listener:
    """Who hears of a run, and may end it. say: a line for the user. on_start(step, steps); on_step after every step.
    shielded, held: see `Trainer.run`."""

    say: Callable[[str], None]
    on_pair: Callable[[int], None]
    on_start: Callable[[int, int], None]
    on_step: Callable[[StepReport], None]
    shielded: Callable[[], AbstractContextManager[None]]
    held: Callable[[], bool]


def checked(data: Sequence[Dataset], on_pair: Callable[[int], None] = lambda count: None) -> list[CheckReport]:
    """Read all pairs; SourceError with the first problems where there are any. on_pair(pairs of all datasets)."""
    total = sum(len(dataset) for dataset in data if not isinstance(dataset, RenderedPeople))
    reports = [check(dataset, lambda: on_pair(total)) for dataset in data]
    problems = [problem for report in reports for problem in report.problems]
    if problems:
        more = [f"... and {len(problems) - PROBLEMS_SHOWN} more"] if len(problems) > PROBLEMS_SHOWN else []
        listed = "\n".join([*problems[:PROBLEMS_SHOWN], *more])
        raise SourceError(f"{len(problems)} of {total} pairs cannot be used:\n{listed}", "mend or remove them")
    return reports


def train(fabric: Fabric, options: RunOptions, listener: Listener) -> Path:
    """Train, or go on with the run in `options.out`; the path of the model file.

    Raises UsageError for options that do not go together, or differ from those that the run was started with, and
    SourceError for data that cannot be used. KeyboardInterrupt saves before it travels on.
    """
    recipe = options.recipe
    share = fabric.world_size * recipe.accumulate
    if recipe.batch % share:
        raise UsageError(
            f"a batch of {recipe.batch} cannot be shared by {fabric.world_size} processes with {recipe.accumulate} "
            "micro-batches each",
            f"give --batch a multiple of {share}",
        )
    if recipe.batch // share < 2:
        raise UsageError(
            f"a micro-batch would have {recipe.batch // share} picture; BatchNorm needs 2",
            f"give --batch {2 * share} or more",
        )
    model = _network(options, listener)
    teacher = load_checkpoint(options.teacher)[0] if options.teacher else None
    parts = [(open_dataset(spec, "train", recipe.hold_out), weight) for spec, weight in options.data]
    # What is wrong with the options and the folder is said before all pictures are read.
    steps = _steps(options, parts)
    load_state(options.out, options.record())
    with run_folder(options.out) if fabric.is_global_zero else nullcontext():
        _train(fabric, options, listener, model, teacher, parts, steps)
    return options.out / MODEL


def _train(
    fabric: Fabric,
    options: RunOptions,
    listener: Listener,
    model: CDLinkNet,
    teacher: CDLinkNet | None,
    parts: Sequence[tuple[Dataset, float]],
    steps: int,
) -> None:
    """Read the data, put the parts together and train `model` until it has `steps`."""
    recipe = options.recipe
    held_out = _held_out(options)
    both = [*(dataset for dataset, _ in parts), *held_out]
    reports: list[CheckReport] = fabric.broadcast(checked(both, listener.on_pair) if fabric.is_global_zero else [])
    del reports[len(parts) :]  # of the held-out pictures it was only asked whether they can be read
    present = [report.present for report in reports]
    workers = batch_workers(fabric) if options.workers is None else options.workers
    mix = Mix(parts, recipe.style, recipe.seed, present, cache_bytes(workers), recipe.window)
    _unfold_encoder(model, options, mix)
    weights = None
    if recipe.class_balance:
        pixels = np.sum([report.pixels for report in reports], axis=0)
        weights = rare_class_weights(pixels, recipe.class_balance).to(fabric.device) if pixels.any() else None
    criterion = ParsingLoss(
        weights, recipe.label_smoothing, recipe.ohem, recipe.auxiliary_weight, recipe.auxiliary_stride
    )
    colours = palette_rgb(options.palette)
    plan = Plan(options.out, steps, options.preset, options.record(), workers, 60 * options.save_every, colours)
    trainer = Trainer(fabric, model, mix, recipe, plan, criterion, teacher)
    if _begins(options) and not options.init and not options.encoder_weights:
        listener.say("the encoder starts from random weights; --encoder-weights has it start from ImageNet's")
    listener.on_start(trainer.step, steps)
    try:
        if fabric.is_global_zero:
            _with_board(trainer, options, steps, listener, held_out)
        else:
            trainer.run(shielded=listener.shielded, held=listener.held)
    except KeyboardInterrupt:
        listener.say(f"saved after step {trainer.step} in {options.out}; the same command goes on")
        raise
    fabric.barrier()


def _with_board(
    trainer: Trainer, options: RunOptions, steps: int, listener: Listener, held_out: Sequence[Dataset]
) -> None:
    with Board(options.out, trainer.step, held_out, palette_rgb(options.palette)) as board:

        def on_step(report: StepReport) -> None:
            listener.on_step(report)
            board.write(report)
            if report.step % JUDGE_EVERY == 0 or report.step == steps:
                found = board.judge(trainer.exported, trainer.metadata, report.step)
                if found:
                    listener.say(f"step {report.step}: held-out mIoU {found.miou:.4f}, person {found.person_iou:.4f}")

        trainer.run(on_step, listener.shielded, listener.held)


def _steps(options: RunOptions, parts: Sequence[tuple[Dataset, float]]) -> int:
    """Length of the run. Raises UsageError for data that cannot be mixed as asked, or has no end."""
    recipe = options.recipe
    mix = Mix(parts, recipe.style, recipe.seed, window_side=recipe.window)
    return options.steps or math.ceil(recipe.epochs * mix.epoch / recipe.batch)


def _held_out(options: RunOptions) -> list[Dataset]:
    """The held-out pictures of all datasets of files; none where nothing is held out."""
    if not options.recipe.hold_out:
        return []
    opened = [open_dataset(spec, "held-out", options.recipe.hold_out) for spec, _ in options.data]
    return [dataset for dataset in opened if not isinstance(dataset, RenderedPeople)]


def _network(options: RunOptions, listener: Listener) -> CDLinkNet:
    """The network that a new run starts from, all but a folded encoder, which takes pictures to unfold: so wrong
    weights are named before all pictures are read. A run that goes on has its weights in the folder."""
    torch.manual_seed(options.recipe.seed)
    model = CDLinkNet(options.config)
    if not _begins(options):
        return model
    if options.init:
        taken, total = take_over(model, options.init)
        listener.say(f"{taken} of {total} tensors taken over from {options.init}")
    elif options.encoder_weights and not options.encoder_weights.endswith(FOLDED):
        load_imagenet(model.encoder, options.encoder_weights)
    return model


def _unfold_encoder(model: CDLinkNet, options: RunOptions, mix: Mix) -> None:
    if options.encoder_weights and options.encoder_weights.endswith(FOLDED) and _begins(options):
        drawn = mix.batch(0, UNFOLDING_PICTURES, options.recipe.batch_size_hw(0))
        load_imagenet(model.encoder, options.encoder_weights, normalized(drawn.images))


def _begins(options: RunOptions) -> bool:
    return not (options.out / RESUME).exists()
