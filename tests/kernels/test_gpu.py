"""The kernels on a real card: equal to torch there, and to their own host build bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rtparse.kernels import MACROS, Variant, variants
from rtparse.kernels.launch import Launch
from rtparse.train.model import upsample_concat as interpolate_and_cat
from rtparse.train.upsample_concat import _launch, upsample_concat

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device in torch")]

FAMILIES = [
    [(2, 64, 11, 19), (2, 64, 22, 38), (2, 64, 44, 76), (2, 64, 88, 152)],  # the smallest preset's
    [(1, 5, 3, 4), (1, 9, 7, 7), (1, 3, 13, 11)],  # odd everything
    [(3, 12, 5, 9), (3, 20, 31, 17)],  # groups of 8 channels that straddle two maps
]


@pytest.mark.parametrize("shapes", FAMILIES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_operator_is_interpolate_and_cat(
    shapes: list[tuple[int, int, int, int]], dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    given = [torch.randn(shape, device="cuda").to(dtype).contiguous(memory_format=memory_format) for shape in shapes]
    result, expected = upsample_concat(given), interpolate_and_cat([x.float() for x in given])
    step = 0 if dtype == torch.float32 else torch.finfo(dtype).eps
    error = (result.float() - expected.to(dtype).float()).abs()
    assert (error <= expected.abs() * step + 1e-5).all()
    assert result.is_contiguous(memory_format=memory_format)


def test_the_operator_runs_in_a_compiled_model_and_in_a_cuda_graph() -> None:
    given = [torch.randn(1, 8, side, side, device="cuda") for side in (4, 16)]
    expected = interpolate_and_cat(given)
    torch.testing.assert_close(torch.compile(upsample_concat)(given), expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = upsample_concat(given)
    graph.replay()
    torch.testing.assert_close(result, expected)


Prepare = Callable[[Callable[[Tensor], int]], Launch]


@pytest.mark.parametrize(("kernel", "variant"), [(kernel, v) for kernel in MACROS for v in variants(kernel)])
def test_the_gpu_computes_what_the_host_build_computes(
    run_on_host: Callable[[Launch], None],
    launch_of: Callable[[str, Variant], tuple[Prepare, Tensor]],
    kernel: str,
    variant: Variant,
) -> None:
    prepare, result = launch_of(kernel, variant)
    on_gpu: dict[Tensor, Tensor] = {}

    def copied(tensor: Tensor) -> int:
        return on_gpu.setdefault(tensor, tensor.cuda()).data_ptr()

    _launch(prepare(copied), 0)
    torch.cuda.synchronize()
    run_on_host(prepare(Tensor.data_ptr))
    torch.testing.assert_close(on_gpu[result].cpu(), result, rtol=0, atol=0)
