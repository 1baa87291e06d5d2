"""Which devices a run uses, those that torchrun gives, else one GPU, else the CPU; and in which precision."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Literal

import torch
from lightning_fabric import Fabric

from rtparse.engines.cores import multiplies_bfloat16, physical_cores
from rtparse.errors import UsageError
from rtparse.train.mix import CACHE_BYTES
from rtparse.train.recipe import Recipe

_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def settled(recipe: Recipe) -> Recipe:
    """The recipe with the precision that "auto" means here: bf16 where GPU or CPU multiply it, else fp32.

    A CPU without such instructions computes bf16 many times slower than fp32.
    """
    if recipe.precision != "auto":
        return recipe
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = multiplies_bfloat16()
    return replace(recipe, precision="bf16" if fast else "fp32")


def batch_workers(fabric: Fabric) -> int:
    """Processes that make the batches of a rank: on a GPU as many as it has cores to itself, less the one that trains,
    at most 8. On a CPU none, for all cores train."""
    if fabric.device.type == "cpu":
        return 0
    return max(min(physical_cores() // _ranks_here() - 1, 8), 0)


def cache_bytes(workers: int) -> int:
    """Of pictures in each process that makes batches: what `Mix` wants, but half of the memory at most for all."""
    processes = _ranks_here() * max(workers, 1)
    if processes == 1 or not hasattr(os, "sysconf"):
        return CACHE_BYTES
    return min(CACHE_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 // processes)


def _ranks_here() -> int:
    """Processes that torchrun started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def open_fabric(precision: str) -> Fabric:
    """A launched Fabric. Under torchrun each process is one rank of DDP; without it there is one device.

    precision: that of a `settled` recipe, "fp32", "bf16" or "fp16" (mixed: weights stay in fp32). Raises UsageError for
    fp16 without a GPU.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    cuda = torch.cuda.is_available()
    if precision == "fp16" and not cuda:
        raise UsageError("fp16 was asked for and there is no GPU", "use --precision bf16 or fp32")
    devices = _ranks_here()
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        strategy="ddp" if world_size > 1 else "auto",
        devices=devices,
        num_nodes=max(world_size // devices, 1),
        precision=_PRECISIONS[precision],
    )
    fabric.launch()
    return fabric
