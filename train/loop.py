"""The training loop: one process, CPU or one GPU, resumable at any step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtparse.errors import RtparseError
from rtparse.metadata import IMAGENET_MEAN, IMAGENET_STD, SIZE_MULTIPLE, ModelMetadata
from rtparse.train.checkpoint import save_checkpoint
from rtparse.train.losses import parsing_loss
from rtparse.train.mix import Batch, Mix
from rtparse.train.model import CDLinkNet

logger = logging.getLogger("rtparse")

ASPECTS = ((4 / 3, 0.45), (1.0, 0.1), (3 / 4, 0.15), (9 / 16, 0.3))
"""Height over width of a batch's pictures, and how often: upright photos, and the frames of cameras and films."""
SAVE_EVERY = 100


@dataclass(frozen=True)
class TrainOptions:
    """One run. pixels: height times width of a picture; lr: of the new layers, the encoder takes `encoder_lr` of it."""

    steps: int
    batch: int = 16
    pixels: int = 256 * 192
    lr: float = 1e-3
    encoder_lr: float = 0.4
    weight_decay: float = 0.01
    warmup: int = 100
    seed: int = 0
    bf16: bool = True


def batch_size_hw(step: int, options: TrainOptions) -> tuple[int, int]:
    """Height and width of a step's batch, multiples of 16 of about `options.pixels`."""
    aspects, chances = zip(*ASPECTS, strict=True)
    aspect = np.random.default_rng((options.seed, step, 1)).choice(aspects, p=chances)
    height, width = math.sqrt(options.pixels * aspect), math.sqrt(options.pixels / aspect)
    return round(height / SIZE_MULTIPLE) * SIZE_MULTIPLE, round(width / SIZE_MULTIPLE) * SIZE_MULTIPLE


def normalized(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """(N, H, W, 3) uint8 BGR to (N, 3, H, W) float32 RGB, less ImageNet's mean, over its deviation, channels_last."""
    rgb = torch.from_numpy(images).to(device).flip(3).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(value, device=device).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return rgb.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def train(
    model: CDLinkNet,
    mix: Mix,
    options: TrainOptions,
    folder: Path,
    name: str,
    class_weights: Tensor | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train in place, AdamW with warm-up and cosine decay; writes `folder`/model.safetensors and state.pt.

    A folder that holds a state.pt is continued from its step. `on_step(step, loss)` is called after every step.
    Ctrl-C saves before it travels on. Raises RtparseError when the loss is not finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    weights = None if class_weights is None else class_weights.to(device)
    encoder = list(model.encoder.parameters())
    rest = [parameter for key, parameter in model.named_parameters() if not key.startswith("encoder.")]
    optimizer = torch.optim.AdamW(
        [{"params": encoder, "lr": options.lr * options.encoder_lr}, {"params": rest, "lr": options.lr}],
        weight_decay=options.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate(step, options))
    step = _resume(folder, model, optimizer, schedule)

    def prepare(at: int) -> Batch:
        return mix.batch(at, options.batch, batch_size_hw(at, options))

    def save() -> None:
        save_checkpoint(model, folder / "model.safetensors", ModelMetadata(name=name))
        state = {"step": step, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        beside = folder / ".state.pt.part"
        torch.save(state, beside)
        beside.replace(folder / "state.pt")

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1, "rtparse-batches") as pool:
        upcoming = pool.submit(prepare, step)
        try:
            while step < options.steps:
                batch = upcoming.result()
                upcoming = pool.submit(prepare, step + 1)
                labels = torch.from_numpy(batch.labels).to(device).long()
                with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
                    output = model(normalized(batch.images, device))
                loss = parsing_loss(output, labels, weights)
                if not torch.isfinite(loss):
                    raise RtparseError(
                        f"the loss is {loss.item()} at step {step}", "lower the learning rate or train in fp32"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                step += 1
                on_step(step, loss.item())
                if step % SAVE_EVERY == 0:
                    save()
        except KeyboardInterrupt:
            save()
            raise
        finally:
            upcoming.cancel()
    save()


def _learning_rate(step: int, options: TrainOptions) -> float:
    """Factor: linear warm-up, then a cosine from 1 to 0.02."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    progress = (step - options.warmup) / max(options.steps - options.warmup, 1)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _resume(
    folder: Path,
    model: CDLinkNet,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    if not (folder / "state.pt").exists():
        return 0
    from safetensors.torch import load_file

    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    logger.info("continuing %s from step %d", folder, state["step"])
    return int(state["step"])


def unfolding_pictures(mix: Mix, options: TrainOptions, count: int = 48) -> Tensor:
    """Pictures (count, 3, H, W) of the mix, normalized, for encoders whose BatchNorms were folded."""
    return normalized(mix.batch(0, count, batch_size_hw(0, options)).images)
