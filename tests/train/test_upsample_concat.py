"""The torch operator: on the CPU torch's own, elsewhere the kernel; the same to everything that traces it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rtparse.errors import UsageError
from rtparse.train.model import upsample_concat as interpolate_and_cat
from rtparse.train.upsample_concat import upsample_concat


def features(
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    device: str = "cpu",
) -> list[Tensor]:
    """Maps of 1/4, 1/2 and the output's size."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 16, 4, 6), (2, 8, 8, 12), (2, 24, 16, 24)]
    return [
        torch.randn(shape, generator=generator).to(device, dtype).contiguous(memory_format=memory_format)
        for shape in shapes
    ]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_the_cpu_it_is_interpolate_and_cat(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    given = features(dtype, memory_format)
    result = upsample_concat(given)
    torch.testing.assert_close(result, interpolate_and_cat(given), rtol=0, atol=0)
    assert result.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_torch_accepts_the_operator(memory_format: torch.memory_format) -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(upsample_concat, (features(memory_format=memory_format),), test_utils=tests)


def test_export_keeps_it_as_one_node() -> None:
    class Model(torch.nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            joined: Tensor = upsample_concat([a, b])
            return joined

    coarse, _, fine = features()
    program = torch.export.export(Model(), (coarse, fine))
    assert [str(node.target) for node in program.graph.nodes if node.op == "call_function"] == [
        "rtparse.upsample_concat.default"
    ]
    torch.testing.assert_close(program.module()(coarse, fine), interpolate_and_cat([coarse, fine]))


def test_it_has_no_gradient_and_says_so() -> None:
    given = [x.requires_grad_() for x in features()]
    with pytest.raises(UsageError, match=r"for inference; train with rtparse\.train\.model\.upsample_concat"):
        upsample_concat(given).sum().backward()


@pytest.mark.parametrize(
    "given",
    [
        features()[:1],  # one map
        features() * 2,  # six
        [*features()[:2], features()[2].half()],  # dtypes that differ
        [*features()[:2], features()[2][:1]],  # batches that differ
        [features()[0][0], features()[2]],  # three dimensions
    ],
)
def test_maps_that_it_cannot_take_are_refused(given: list[Tensor]) -> None:
    with pytest.raises(UsageError, match="expected 2 to 5"):
        upsample_concat(given)
