"""The fused op, compiled for the host, against torch's interpolate and cat."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rtparse.kernels.launch import Launch, upsample_concat

RunOnHost = Callable[[Launch], None]

DTYPES = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32}

Shapes = list[tuple[int, int, int, int]]


@st.composite
def shapes_to_concat(draw: st.DrawFn) -> Shapes:
    """2 to 5 shapes (N, C, H, W) of one N; some of the output's size, most smaller, some larger."""
    batch = draw(st.integers(1, 3))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 40))
    shapes = []
    for _ in range(draw(st.integers(1, 4))):
        channels = draw(st.integers(1, 20) | st.sampled_from([8, 16, 24]))
        size = draw(
            st.just((height, width))
            | st.tuples(st.integers(1, 12), st.integers(1, 20))
            | st.sampled_from([(-(-height // k), -(-width // k)) for k in (2, 4, 8)])
            | st.just((2 * height + 1, width + 3))
        )
        shapes.append((batch, channels, *size))
    return [*shapes, (batch, draw(st.integers(1, 20) | st.just(16)), height, width)]


def features(shapes: Shapes, dtype: torch.dtype, seed: int, scale: float = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(scale * torch.randn(shape, generator=generator)).to(dtype) for shape in shapes]


def reference(inputs: list[Tensor]) -> Tensor:
    """In float64 of the very same elements."""
    size = inputs[-1].shape[2:]
    resized = [F.interpolate(x.double(), size=size, mode="bilinear", align_corners=False) for x in inputs[:-1]]
    return torch.cat([*resized, inputs[-1].double()], 1)


def hwc8(x: Tensor) -> Tensor:
    """(N, C, H, W) to contiguous (N, H, W, C8); what lies past C is NaN, which no kernel may read."""
    spare = -x.shape[1] % 8
    return F.pad(x.permute(0, 2, 3, 1), (0, spare), value=torch.nan).contiguous()


def run(run_on_host: RunOnHost, inputs: list[Tensor], dtype: str, layout: str, *, skip: int = 0) -> Tensor:
    """The op's output (N, C, H, W). skip: elements by which tensors start after an aligned address (linear only)."""
    stored = [hwc8(x) if layout == "hwc8" else shifted(x, skip * i) for i, x in enumerate(inputs)]
    batch, _, height, width = inputs[-1].shape
    channels = sum(x.shape[1] for x in inputs)
    padded = -(-channels // 8) * 8 if layout == "hwc8" else channels
    count = batch * padded * height * width
    buffer = torch.full((count + skip + 32,), torch.nan, dtype=DTYPES[dtype])
    start = -(buffer.data_ptr() // buffer.element_size()) % 8 + skip
    output = buffer[start : start + count]
    launch = upsample_concat(
        dtype, layout, [x.data_ptr() for x in stored], [tuple(x.shape) for x in inputs], output.data_ptr()
    )
    run_on_host(launch)
    assert buffer[:start].isnan().all()
    assert buffer[start + count :].isnan().all()
    if layout == "linear":
        return output.view(batch, channels, height, width)
    result = output.view(batch, height, width, padded).permute(0, 3, 1, 2)
    assert (result[:, channels:] == 0).all()
    return result[:, :channels]


def shifted(x: Tensor, skip: int) -> Tensor:
    """A contiguous copy that starts `skip` elements after an aligned address, amid NaN."""
    buffer = torch.full((x.numel() + skip + 16,), torch.nan, dtype=x.dtype)
    start = -(buffer.data_ptr() // buffer.element_size()) % 8 + skip
    buffer[start : start + x.numel()] = x.flatten()
    return buffer[start : start + x.numel()].view(x.shape)


def assert_one_rounding(found: Tensor, expected: Tensor) -> None:
    """Equal to a float64 result to half a step of the found type, and float32's error in the arithmetic before it."""
    finfo = torch.finfo(found.dtype)
    # Weights are off by float32's rounding of a position of up to 100 samples, and normal samples lie within 5 of 0.
    arithmetic = 1e-4 if found.dtype == torch.float32 else 2e-4
    step = expected.abs() * finfo.eps / 2 + finfo.tiny
    error = (found.double() - expected).abs()
    assert (error <= step * 1.001 + arithmetic).all(), error.max()


@pytest.mark.parametrize("layout", ["linear", "hwc8"])
@pytest.mark.parametrize("dtype", ["half", "bfloat16", "float"])
@given(shapes=shapes_to_concat(), seed=st.integers(0, 2**32 - 1), skip=st.integers(0, 7))
@settings(max_examples=120, deadline=None)
def test_it_is_interpolate_and_cat(
    run_on_host: RunOnHost, dtype: str, layout: str, shapes: Shapes, seed: int, skip: int
) -> None:
    inputs = features(shapes, DTYPES[dtype], seed)
    found = run(run_on_host, inputs, dtype, layout, skip=skip if layout == "linear" else 0)
    assert_one_rounding(found, reference(inputs))
