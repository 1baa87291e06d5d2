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
    """Every variant when asked to; else of upsample_concat's numbers of inputs one for each type and layout."""
    every = variants(kernel)
    if kernel != "upsample_concat" or os.environ.get("RTPARSE_COMPILE_ALL"):
        return every
    return [variant for i, variant in enumerate(every) if i % 4 == i // 4 % 4]


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
