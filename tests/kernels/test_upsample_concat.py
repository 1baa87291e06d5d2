"""The fused op, compiled for the host and by NVRTC, against torch's interpolate and cat."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rtparse.kernels.frames import running_mean
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
    """In float32, of the very same elements."""
    size = inputs[-1].shape[2:]
    resized = [F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False) for x in inputs[:-1]]
    return torch.cat([*resized, inputs[-1].float()], 1)


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
    """Not more than one step of the found type from the float32 result rounded to it.

    The rest, 1e-5 of samples that lie within 5 of 0, is float32's own rounding of positions of up to 50 samples, where
    torch may fuse a product and a sum; float32 itself is held to that.
    """
    step = 0 if found.dtype == torch.float32 else torch.finfo(found.dtype).eps
    error = (found.float() - expected.to(found.dtype).float()).abs()
    assert (error <= expected.abs() * step + 1e-5).all(), error.max()


@pytest.mark.parametrize("layout", ["linear", "hwc8"])
@pytest.mark.parametrize("dtype", ["half", "bfloat16", "float"])
@given(shapes=shapes_to_concat(), seed=st.integers(0, 2**32 - 1), skip=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_it_is_interpolate_and_cat(
    run_on_host: RunOnHost, dtype: str, layout: str, shapes: Shapes, seed: int, skip: int
) -> None:
    inputs = features(shapes, DTYPES[dtype], seed)
    found = run(run_on_host, inputs, dtype, layout, skip=skip if layout == "linear" else 0)
    assert_one_rounding(found, reference(inputs))


@pytest.mark.parametrize("layout", ["linear", "hwc8"])
@pytest.mark.parametrize("dtype", ["half", "bfloat16", "float"])
def test_nvrtcs_ptx_is_interpolate_and_cat(run_ptx: RunOnHost, dtype: str, layout: str) -> None:
    inputs = features([(2, 9, 5, 7), (2, 8, 3, 3), (2, 16, 17, 23)], DTYPES[dtype], 0)
    assert_one_rounding(run(run_ptx, inputs, dtype, layout), reference(inputs))


@pytest.mark.parametrize("layout", ["linear", "hwc8"])
@pytest.mark.parametrize("dtype", ["half", "bfloat16"])
@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1, 3e4, 1e38])
def test_16_bit_results_are_the_float32_result_rounded_to_the_nearest(
    run_on_host: RunOnHost, dtype: str, layout: str, scale: float
) -> None:
    # From subnormal numbers to infinite ones.
    inputs = features([(2, 9, 5, 7), (2, 8, 3, 3), (2, 7, 17, 23)], DTYPES[dtype], 0, scale)
    found = run(run_on_host, inputs, dtype, layout)
    exact = run(run_on_host, [x.float() for x in inputs], "float", layout)
    torch.testing.assert_close(found, exact.to(DTYPES[dtype]), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", ["half", "bfloat16"])
def test_every_16_bit_number_is_read_as_what_it_is(run_on_host: RunOnHost, dtype: str) -> None:
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(DTYPES[dtype])
    mean = torch.zeros(2**16)
    run_on_host(running_mean(dtype, numbers.data_ptr(), mean.data_ptr(), 2**16, 0))
    torch.testing.assert_close(mean, numbers.float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("layout", ["linear", "hwc8"])
def test_a_map_of_the_outputs_size_is_copied_bit_for_bit(run_on_host: RunOnHost, layout: str) -> None:
    inputs = features([(2, 3, 4, 6), (2, 5, 8, 12), (2, 8, 8, 12)], torch.float16, 0)
    inputs[1][0, 0, 0, 0] = inputs[2][1, 7, 7, 11] = torch.inf  # interpolated with weight 0 it would be NaN
    found = run(run_on_host, inputs, "half", layout)
    torch.testing.assert_close(found[:, 3:], torch.cat(inputs[1:], 1), rtol=0, atol=0)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 3, 4, 4)],  # one input
        [(1, 3, 4, 4)] * 6,  # six
        [(1, 3, 4, 4), (2, 3, 4, 4)],  # batches that differ
        [(1, 3, 0, 4), (1, 3, 4, 4)],  # an empty map
        [(1, 40000, 2, 2), (1, 40000, 4, 4)],  # more planes than a grid has rows
    ],
)
def test_shapes_that_the_kernel_cannot_take_are_refused(shapes: Shapes) -> None:
    with pytest.raises(ValueError, match="expected 2 to 5"):
        upsample_concat("half", "linear", [0] * len(shapes), shapes, 0)
