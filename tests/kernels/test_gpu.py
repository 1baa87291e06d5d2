"""The kernels on a real card: equal to torch there, and to their own host build bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rtparse.classes import PALETTE_RGB
from rtparse.kernels.frames import (
    BgrFrame,
    Colours,
    Nv12Frame,
    blend,
    blend_palette,
    letterbox_normalize,
    running_mean,
    thumbnail,
    upsample_argmax,
)
from rtparse.kernels.launch import Launch
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.train.model import upsample_concat as interpolate_and_cat
from rtparse.train.upsample_concat import _launch, upsample_concat

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device in torch")]

DTYPES = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32}
NETWORK_HW, GRID_HW = (176, 304), (88, 152)

FAMILIES = [
    [(2, 64, 11, 19), (2, 64, 22, 38), (2, 64, 44, 76), (2, 64, 88, 152)],  # the smallest preset's
    [(1, 5, 3, 4), (1, 9, 7, 7), (1, 3, 13, 11)],  # odd everything
    [(3, 12, 5, 9), (3, 20, 31, 17)],  # groups of 8 channels that straddle two maps
]


@pytest.mark.parametrize("shapes", FAMILIES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", DTYPES.values())
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
"""Makes a launch of the addresses that a function gives to tensors."""


def frame_kernels() -> dict[str, tuple[Prepare, Tensor]]:
    """A launch of every variant of every kernel of `frames`, and the tensor that it fills."""
    rng = np.random.default_rng(0)
    box = Letterbox.fit((721, 1283), NETWORK_HW)
    image = torch.from_numpy(rng.integers(0, 256, (721, 1283 * 3 + 7), np.uint8))
    luma = torch.from_numpy(rng.integers(0, 256, (721, 1300), np.uint8))
    chroma = torch.from_numpy(rng.integers(0, 256, (361, 1300), np.uint8))
    labels = torch.from_numpy(rng.integers(0, 20, (721, 1290), np.uint8))
    palette = torch.from_numpy(blend_palette(PALETTE_RGB))
    colours = Colours.of("bt709", full_range=False)
    found: dict[str, tuple[Prepare, Tensor]] = {}
    for name, dtype in DTYPES.items():
        logits = torch.from_numpy(rng.normal(0, 3, (20, *GRID_HW))).to(dtype)
        planes = torch.zeros((3, *NETWORK_HW), dtype=dtype)
        filled = torch.from_numpy(rng.normal(0, 1, planes.shape)).to(dtype)
        mean = torch.from_numpy(rng.normal(0, 3, logits.shape)).float()

        def bgr(at: Callable[[Tensor], int], name: str = name, planes: Tensor = planes) -> Launch:
            return letterbox_normalize(name, BgrFrame(at(image), image.stride(0)), box, ModelMetadata(), at(planes))

        def nv12(at: Callable[[Tensor], int], name: str = name, planes: Tensor = planes) -> Launch:
            source = Nv12Frame(at(luma), luma.stride(0), at(chroma), chroma.stride(0), colours)
            return letterbox_normalize(name, source, box, ModelMetadata(), at(planes))

        def argmax(at: Callable[[Tensor], int], name: str = name, logits: Tensor = logits) -> Launch:
            return upsample_argmax(name, at(logits), (20, *GRID_HW), box, at(labels), labels.stride(0))

        def smooth(
            at: Callable[[Tensor], int], name: str = name, logits: Tensor = logits, mean: Tensor = mean
        ) -> Launch:
            return running_mean(name, at(logits), at(mean), mean.numel(), 0.7)

        small = torch.zeros(3, 16, 16)

        def shrink(
            at: Callable[[Tensor], int], name: str = name, filled: Tensor = filled, small: Tensor = small
        ) -> Launch:
            return thumbnail(name, at(filled), NETWORK_HW, at(small))

        found |= {
            f"letterbox_normalize {name} bgr": (bgr, planes),
            f"letterbox_normalize {name} nv12": (nv12, planes),
            f"upsample_argmax {name}": (argmax, labels),
            f"running_mean {name}": (smooth, mean),
            f"thumbnail {name}": (shrink, small),
        }

    def overlay(at: Callable[[Tensor], int]) -> Launch:
        picture = BgrFrame(at(image), image.stride(0))
        return blend(picture, at(labels), labels.stride(0), at(palette), (721, 1283), 0.3, picture)

    return found | {"blend": (overlay, image)}


@pytest.mark.parametrize("name", list(frame_kernels()))
def test_the_gpu_computes_what_the_host_build_computes(run_on_host: Callable[[Launch], None], name: str) -> None:
    prepare, result = frame_kernels()[name]
    on_gpu: dict[Tensor, Tensor] = {}

    def copied(tensor: Tensor) -> int:
        return on_gpu.setdefault(tensor, tensor.cuda()).data_ptr()

    _launch(prepare(copied), 0)
    torch.cuda.synchronize()
    run_on_host(prepare(Tensor.data_ptr))
    torch.testing.assert_close(on_gpu[result].cpu(), result, rtol=0, atol=0)
