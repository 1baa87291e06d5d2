"""The training loop, on Lightning Fabric: CPU, one GPU or many, resumable at any step, on a CPU bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from rtparse.classes import PALETTE_RGB
from rtparse.errors import RtparseError
from rtparse.metadata import IMAGENET_MEAN, IMAGENET_STD, ModelMetadata
from rtparse.sinks.partial import write_whole
from rtparse.train.batches import MicroBatch, MicroBatches, Numbering, Source, in_order
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.ema import Ema
from rtparse.train.losses import Losses, ParsingLoss, distillation
from rtparse.train.model import CDLinkNet, Supervised
from rtparse.train.optimizer import build_optimizer, set_rate
from rtparse.train.recipe import Recipe
from rtparse.train.resume import Record, State, load_state, make_run_folder, save_state
from rtparse.train.sheet import coloured, sheet
from rtparse.train.writing import png

MODEL = "model.safetensors"
BAD_BATCH = "bad-batch.png"

SKIPPED_IN_A_ROW = 20
"""fp16 skips a step when its scale was too large and halves it; that many times over, the scale is not the cause."""


@dataclass(frozen=True)
class Plan:
    """What is particular to one run.

    folder: takes model.safetensors and resume.pt. steps: of the optimizer. name: that the model file gives itself.
    record: what must not change when the run goes on. workers: processes that make batches, 0 for a thread.
    save_seconds: between two times of saving. palette_rgb: (20, 3) uint8, the colours of labels in pictures of the run.
    """

    folder: Path
    steps: int
    name: str
    record: Record
    workers: int = 0
    save_seconds: float = 300.0
    palette_rgb: NDArray[np.uint8] = field(default_factory=lambda: PALETTE_RGB)


@dataclass(frozen=True)
class StepReport:
    """A step that is done, the `step`-th. Losses are means over this rank's pictures, taught: of the teacher's, None
    without one; seconds: of waiting for batches (`waited`) and all in all; pictures: of all ranks."""

    step: int
    loss: float
    refined: float
    auxiliary: float
    rate: float
    pictures: int
    seconds: float
    waited: float
    taught: float | None = None


def normalized(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """(N, H, W, 3) uint8 BGR to (N, 3, H, W) float32 RGB, less ImageNet's mean, over its deviation, channels_last."""
    rgb = torch.from_numpy(images).to(device).flip(3).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(value, device=device).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return rgb.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


class Trainer:
    """One run of one network, trained in place. A folder that holds a resume.pt is continued from its step.

    model: the network on the CPU, the same on every rank. criterion: of the labels; its class weights on the CPU.
    teacher: a network whose logits are learnt too, None for none. step: optimizer steps that are done.
    Raises UsageError when the folder's run was started with another `plan.record`.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: CDLinkNet,
        source: Source,
        recipe: Recipe,
        plan: Plan,
        criterion: Callable[[Tensor | Supervised, Tensor], Losses] = ParsingLoss(),  # noqa: B008 (frozen)
        teacher: CDLinkNet | None = None,
    ) -> None:
        self._fabric, self._recipe, self._plan, self._criterion = fabric, recipe, plan, criterion
        shared = fabric.world_size * recipe.accumulate
        numbering = Numbering(recipe.batch // shared, recipe.accumulate, fabric.world_size, fabric.global_rank)
        self._numbering, self._batches = numbering, MicroBatches(source, recipe, numbering)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self._network = _placed(model, fabric.device).train()
        self._ema = Ema(self._network, recipe.ema) if recipe.ema else None
        self._teacher = None if teacher is None else _placed(teacher, fabric.device).eval().requires_grad_(False)
        optimizer = build_optimizer(self._network, recipe)
        state = load_state(plan.folder, plan.record)
        self.step = 0
        if state is not None:
            self.step = state["step"]
            self._network.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            fabric.strategy.precision.load_state_dict(state["scaler"])
            if self._ema:
                self._ema.model.load_state_dict(state["ema"])
        module: Any = torch.compile(self._network) if recipe.compile else self._network
        self._model, self._optimizer = fabric.setup(module, optimizer)
        self._skipped = 0

    @property
    def exported(self) -> CDLinkNet:
        """The network that model.safetensors holds: the running mean of the weights where there is one."""
        return self._ema.model if self._ema else self._network

    @property
    def metadata(self) -> ModelMetadata:
        """What model.safetensors says of itself."""
        return ModelMetadata(name=self._plan.name, size_hw=self._recipe.upright_hw())

    def run(
        self,
        on_step: Callable[[StepReport], None] = lambda report: None,
        shielded: Callable[[], AbstractContextManager[None]] = nullcontext,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until `plan.steps` are done.

        on_step: called after every step, with the weights of that step in place. shielded: holds Ctrl-C back while
        its block runs (`rtparse.cli.interrupt.Interrupt.shielded`), so that a step is done whole or not at all. held:
        whether one is held back; several ranks ask each other after every step and stop behind the same one.
        KeyboardInterrupt saves before it travels on. Raises RtparseError when a loss or gradient is not finite.
        """
        make_run_folder(self._plan.folder)
        with shielded() if self._fabric.world_size > 1 else nullcontext():
            self._run(on_step, shielded, held)

    def _run(
        self,
        on_step: Callable[[StepReport], None],
        shielded: Callable[[], AbstractContextManager[None]],
        held: Callable[[], bool],
    ) -> None:
        plan = self._plan
        indices = self._numbering.of_steps(self.step, plan.steps)
        saved = time.monotonic()
        try:
            with closing(in_order(self._batches, indices, plan.workers)) as row:
                while self.step < plan.steps:
                    started = time.perf_counter()
                    batches = self._next(row)
                    waited = time.perf_counter() - started
                    with shielded():
                        rate = self._recipe.rate(self.step, plan.steps)
                        total, refined, auxiliary, *taught = self._advance(batches, rate)
                        if time.monotonic() - saved >= plan.save_seconds and self.step < plan.steps:
                            self.save()
                            saved = time.monotonic()
                    seconds = time.perf_counter() - started
                    pictures = self._recipe.batch
                    on_step(StepReport(self.step, total, refined, auxiliary, rate, pictures, seconds, waited, *taught))
                    if self._fabric.world_size > 1 and self._any(held()):
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            with shielded():
                self.save()
            self._fabric.barrier()  # a launcher ends all ranks when one has ended
            raise
        except torch.OutOfMemoryError:
            raise RtparseError(
                f"the GPU's memory is full with {self._numbering.count} pictures at a time", "raise --accumulate"
            ) from None
        with shielded():
            self.save()

    def _next(self, row: Iterator[MicroBatch]) -> list[MicroBatch]:
        """The micro-batches of a step. Where they cannot be had, what is done so far is saved first."""
        try:
            return [next(row) for _ in range(self._recipe.accumulate)]
        except RtparseError:
            if self.step:
                self.save()
            raise

    def _any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        found = self._fabric.all_reduce(torch.tensor(float(mine), device=self._fabric.device), reduce_op="sum")
        return bool(found)

    def save(self) -> None:
        """Write resume.pt and model.safetensors, each whole or not at all. Only rank 0 writes."""
        if not self._fabric.is_global_zero:
            return
        state = State(
            step=self.step,
            model=self._network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            ema=self._ema.model.state_dict() if self._ema else {},
            scaler=self._fabric.strategy.precision.state_dict(),
        )
        save_state(self._plan.folder, state, self._plan.record)
        save_checkpoint(self.exported, self._plan.folder / MODEL, self.metadata)

    def _advance(self, batches: list[MicroBatch], rate: float) -> list[float]:
        """One optimizer step; the means of the losses: total, refined, auxiliary and, with a teacher, taught."""
        set_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        sums = [0.0] * (3 if self._teacher is None else 4)
        for number, batch in enumerate(batches):
            accumulating = number < len(batches) - 1
            with self._fabric.no_backward_sync(self._model, enabled=accumulating):
                losses = self._losses(batch)
                values = torch.stack([each for each in losses if each is not None]).tolist()
                if not math.isfinite(values[0]):
                    raise self._stopped(f"the loss is {values[0]}", [batch])
                self._fabric.backward(losses.total / len(batches))
            sums = [total + value for total, value in zip(sums, values, strict=True)]
        norm = self._fabric.clip_gradients(
            self._network, self._optimizer, max_norm=self._recipe.clip_norm or math.inf, error_if_nonfinite=False
        )
        assert norm is not None  # it is for max_norm
        self._check_gradient(float(norm), batches)
        self._optimizer.step()
        self.step += 1
        if self._ema:
            self._ema.update(self._network, self.step)
        return [total / len(batches) for total in sums]

    def _losses(self, batch: MicroBatch) -> Losses:
        images = normalized(batch.images, self._fabric.device)
        labels = torch.from_numpy(batch.labels).to(self._fabric.device).long()
        output = self._model(images)
        losses = self._criterion(output, labels)
        if self._teacher is None:
            return losses
        with torch.no_grad(), self._fabric.autocast():
            taught = self._teacher(images)
        student = output.logits if isinstance(output, Supervised) else output
        share = self._recipe.teacher_weight
        learnt = distillation(student, taught, self._recipe.temperature)
        return losses._replace(total=(1 - share) * losses.total + share * learnt, taught=learnt)

    def _check_gradient(self, norm: float, batches: list[MicroBatch]) -> None:
        if math.isfinite(norm):
            self._skipped = 0
            return
        scaled = bool(self._fabric.strategy.precision.state_dict())
        self._skipped += 1
        if not scaled or self._skipped >= SKIPPED_IN_A_ROW:
            raise self._stopped(f"the gradient is {norm}{' again and again' if scaled else ''}", batches)

    def _stopped(self, what: str, batches: list[MicroBatch]) -> RtparseError:
        """The error that ends the run, with the micro-batches that may have caused it as a picture beside the model."""
        rank, palette = self._fabric.global_rank, self._plan.palette_rgb
        path = self._plan.folder / (BAD_BATCH if rank == 0 else f"rank{rank}-{BAD_BATCH}")
        rows = [
            (image, coloured(labels, image, palette))
            for batch in batches
            for image, labels in zip(batch.images, batch.labels, strict=True)
        ]
        write_whole(path, png(sheet(rows, batches[0].labels.shape[1:])))
        numbers = ", ".join(str(batch.index) for batch in batches)
        saved = self._plan.folder / MODEL
        begin = f"another --out with --init {saved}" if saved.exists() else "another --out"
        calmer = "a lower --lr" if self._recipe.precision == "fp32" else "a lower --lr, or --precision fp32"
        return RtparseError(
            f"{what} at step {self.step}, micro-batch {numbers}, rank {rank}",
            f"look at {path}; then start {begin} and {calmer}",
        )


def _placed(model: CDLinkNet, device: torch.device) -> CDLinkNet:
    placed: CDLinkNet = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
