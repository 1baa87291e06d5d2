"""Launches of every variant of every kernel, and a way to run NVRTC's PTX without a GPU."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rtparse.classes import PALETTE_RGB
from rtparse.kernels import FOLDER, Variant, definitions
from rtparse.kernels.frames import (
    BgrFrame,
    Colours,
    Nv12Frame,
    blend,
    blend_palette,
    letterbox_normalize,
    running_mean,
    scene_cut,
    thumbnail,
    upsample_argmax,
)
from rtparse.kernels.launch import Launch, upsample_concat
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.kernels.surfaces import Classes, Panel, overlay_nv12, to_bgr
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox

DTYPES = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32}
FRAME_HW, NETWORK_HW, GRID_HW = (121, 283), (64, 144), (32, 72)

Prepare = Callable[[Callable[[Tensor], int]], Launch]
"""Makes a launch of the addresses that a function gives to tensors."""


def _random_bytes(*shape: int, end: int = 256) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, end, shape, np.uint8))


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32))


def _picture(source: str) -> Callable[[Callable[[Tensor], int]], BgrFrame | Nv12Frame]:
    """A random picture of FRAME_HW."""
    height, width = FRAME_HW
    wide = 2 if source == "p016" else 1
    # Of 16-bit samples every row begins at an even address.
    image, luma = _random_bytes(height, 3 * width + 7), _random_bytes(height, wide * (width + 9))
    chroma = _random_bytes((height + 3) // 2, wide * (width + 11))
    colours = Colours.of("bt709", full_range=False)

    def at_addresses(at: Callable[[Tensor], int]) -> BgrFrame | Nv12Frame:
        if source == "bgr":
            return BgrFrame(at(image), image.stride(0))
        return Nv12Frame(at(luma), luma.stride(0), at(chroma), chroma.stride(0), colours, source, row=1, column=1)

    return at_addresses


def _letterbox_normalize(dtype: str, source: str) -> tuple[Prepare, Tensor]:
    planes = torch.zeros((3, *NETWORK_HW), dtype=DTYPES[dtype])
    box = Letterbox.fit(FRAME_HW, NETWORK_HW)
    picture = _picture(source)

    def prepare(at: Callable[[Tensor], int]) -> Launch:
        return letterbox_normalize(dtype, picture(at), box, ModelMetadata(), at(planes))

    return prepare, planes


def _upsample_argmax(dtype: str) -> tuple[Prepare, Tensor]:
    logits = _normal(20, *GRID_HW).to(DTYPES[dtype])
    labels = torch.zeros((FRAME_HW[0], FRAME_HW[1] + 5), dtype=torch.uint8)
    box = Letterbox.fit(FRAME_HW, NETWORK_HW)
    return (
        lambda at: upsample_argmax(dtype, at(logits), (20, *GRID_HW), box, at(labels), labels.stride(0)),
        labels,
    )


def _running_mean(dtype: str) -> tuple[Prepare, Tensor]:
    logits, mean = _normal(20, *GRID_HW).to(DTYPES[dtype]), _normal(20, *GRID_HW, seed=1)
    distances = torch.full((48,), 3.9)  # nearly a cut
    return lambda at: running_mean(dtype, at(logits), at(mean), mean.numel(), 0.7, at(distances)), mean


def _thumbnail(dtype: str) -> tuple[Prepare, Tensor]:
    planes, small = _normal(3, *NETWORK_HW).to(DTYPES[dtype]), torch.zeros(3, 16, 16)
    return lambda at: thumbnail(dtype, at(planes), NETWORK_HW, at(small)), small


def _scene_cut() -> tuple[Prepare, Tensor]:
    small, changed = _normal(3, 16, 16), torch.cat([_normal(3 * 16 * 16, seed=1), torch.zeros(48)])
    return lambda at: scene_cut(at(small), at(changed), at(changed) + 4 * small.numel()), changed


def _blend() -> tuple[Prepare, Tensor]:
    height, width = FRAME_HW
    # In place; rows of the one start at multiples of 16 bytes, some of the other do not.
    image, labels = _random_bytes(height, 3 * width + 15), _random_bytes(height, width + 5, end=20)
    palette = torch.from_numpy(blend_palette(PALETTE_RGB))

    def prepare(at: Callable[[Tensor], int]) -> Launch:
        frame = BgrFrame(at(image), image.stride(0))
        return blend(frame, at(labels), labels.stride(0), at(palette), FRAME_HW, 0.3, frame)

    return prepare, image


def _to_bgr(source: str) -> tuple[Prepare, Tensor]:
    picture, output = _picture(source), torch.zeros((FRAME_HW[0], 3 * FRAME_HW[1] + 5), dtype=torch.uint8)

    def prepare(at: Callable[[Tensor], int]) -> Launch:
        frame = picture(at)
        assert isinstance(frame, Nv12Frame)
        return to_bgr(frame, FRAME_HW, BgrFrame(at(output), output.stride(0)))

    return prepare, output


def _overlay_nv12(source: str) -> tuple[Prepare, Tensor]:
    height, width = FRAME_HW
    picture, labels = _picture(source), _random_bytes(height, width + 5, end=20)
    palette, panel = torch.from_numpy(blend_palette(PALETTE_RGB)), _random_bytes(40, 60, 4, end=200)
    panel[..., 3] //= 100
    rows = height + height % 2
    output = torch.zeros((rows * 3 // 2, width + width % 2 + 6), dtype=torch.uint8)

    def prepare(at: Callable[[Tensor], int]) -> Launch:
        first, pitch = at(output), output.stride(0)
        return overlay_nv12(
            picture(at),
            FRAME_HW,
            (first, first + rows * pitch),
            pitch,
            "bt709",
            classes=Classes(at(labels), labels.stride(0), at(palette), 0.3),
            panel=Panel(at(panel), 40, 60, 0.35),
        )

    return prepare, output


def _upsample_concat(dtype: str, layout: str, inputs: str) -> tuple[Prepare, Tensor]:
    # Channels that 8 divides and others, sides of every parity, a map that is copied before the last, one that shrinks.
    channels, sizes = (16, 5, 11, 8, 24), ((3, 5), (11, 17), (7, 8), (23, 40), (11, 17))
    shapes = [(2, c, *size) for c, size in zip(channels, sizes, strict=True)][-int(inputs) :]
    features = []
    for i, (batch, c, height, width) in enumerate(shapes):
        shape = (batch, height, width, -(-c // 8) * 8) if layout == "hwc8" else (batch, c, height, width)
        features.append(_normal(*shape, seed=i).to(DTYPES[dtype]))
    total = sum(shape[1] for shape in shapes)
    output = torch.zeros((2, 11, 17, -(-total // 8) * 8 if layout == "hwc8" else total), dtype=DTYPES[dtype])
    return (
        lambda at: upsample_concat(dtype, layout, [at(x) for x in features], shapes, at(output)),
        output,
    )


@pytest.fixture(scope="session")
def launch_of() -> Callable[[str, Variant], tuple[Prepare, Tensor]]:
    """For a kernel and a variant: what makes a launch of it on random data, and the tensor that the launch fills."""
    makers: dict[str, Callable[..., tuple[Prepare, Tensor]]] = {
        "upsample_concat": _upsample_concat,
        "letterbox_normalize": _letterbox_normalize,
        "upsample_argmax": _upsample_argmax,
        "running_mean": _running_mean,
        "thumbnail": _thumbnail,
        "scene_cut": _scene_cut,
        "blend": _blend,
        "to_bgr": _to_bgr,
        "overlay_nv12": _overlay_nv12,
    }
    return lambda kernel, variant: makers[kernel](*variant)


@pytest.fixture(scope="session")
def run_ptx(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Launch], None]:
    """As `run_on_host`, but by NVRTC's PTX, translated to C++."""
    specification = importlib.util.spec_from_file_location("ptx", Path(__file__).with_name("ptx.py"))
    assert specification is not None
    assert specification.loader is not None
    ptx = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(ptx)
    folder = tmp_path_factory.mktemp("ptx")

    @functools.cache
    def build(kernel: str, variant: Variant) -> Path:
        compiled = compile_kernel(kernel, variant, arch="sm_75", form="ptx")
        source, path = folder / f"{compiled.entry}.cpp", folder / f"{compiled.entry}.so"
        source.write_text(ptx.to_cpp(compiled.code.decode().rstrip("\0")))
        options = [
            "-std=c++20",
            "-O1",
            "-fwrapv",
            "-fno-strict-aliasing",
            "-ffp-contract=off",
            "-w",
            "-shared",
            "-fPIC",
        ]
        macros = ["-DRTPARSE_HOST", f"-I{FOLDER}", *definitions(kernel, variant)]
        subprocess.run(["g++", *options, *macros, str(source), "-o", str(path)], check=True)
        return path

    def run(launch: Launch) -> None:
        function = getattr(ctypes.CDLL(str(build(launch.kernel, launch.variant))), f"{launch.entry}_host")
        function((ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block), launch.params())

    return run
