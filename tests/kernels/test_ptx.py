"""NVRTC's PTX computes what the host builds compute, which the other tests hold to torch and the CPU path."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rtparse.kernels import MACROS, Variant, variants
from rtparse.kernels.launch import Launch

Prepare = Callable[[Callable[[Tensor], int]], Launch]


def chosen(kernel: str) -> list[Variant]:
    """Every variant when asked to; else of the kernels with many one for each type and layout, or source."""
    every = variants(kernel)
    if os.environ.get("RTPARSE_COMPILE_ALL"):
        return every
    if kernel == "upsample_concat":
        return [variant for i, variant in enumerate(every) if i % 4 == i // 4 % 4]
    if kernel == "letterbox_normalize":
        return [variant for i, variant in enumerate(every) if i % 3 == i // 3]
    return every


@pytest.mark.parametrize(("kernel", "variant"), [(kernel, v) for kernel in MACROS for v in chosen(kernel)])
def test_ptx_computes_what_the_host_build_computes(
    run_on_host: Callable[[Launch], None],
    run_ptx: Callable[[Launch], None],
    launch_of: Callable[[str, Variant], tuple[Prepare, Tensor]],
    kernel: str,
    variant: Variant,
) -> None:
    prepare, result = launch_of(kernel, variant)
    before = result.clone()
    run_ptx(prepare(Tensor.data_ptr))
    found = result.clone()
    assert not torch.equal(found, before)
    result.copy_(before)
    run_on_host(prepare(Tensor.data_ptr))
    torch.testing.assert_close(found, result, rtol=0, atol=0)
