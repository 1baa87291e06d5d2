"""CUDA kernels: their sources, their compilation by NVRTC, and the geometry of their launches.

Nothing here needs a GPU. A kernel is one .cu file, a variant of it a choice of its macros (a type, a layout):
`variants` lists them. The same file is compiled for the GPU by `nvrtc`, and for the host by any C++17 compiler, where
each entry NAME is joined by `NAME_host(grid, block, params)` that runs all threads on the calling one.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

Variant = tuple[str, ...]
"""The values of a kernel's macros in the order of `MACROS`: ("half", "linear", "3")."""

TYPES = ("half", "bfloat16", "float")
"""Element types of tensors, as the sources name them."""

SURFACES = ("nv12", "p016")
"""Pictures as NVIDIA's decoders leave them, as the sources name them."""

MACROS: dict[str, dict[str, tuple[str, ...]]] = {
    "upsample_concat": {
        "RTPARSE_T": TYPES,
        "RTPARSE_LAYOUT": ("linear", "hwc8"),
        "RTPARSE_INPUTS": ("2", "3", "4", "5"),
    },
    "letterbox_normalize": {"RTPARSE_T": TYPES, "RTPARSE_SOURCE": ("bgr", *SURFACES)},
    "upsample_argmax": {"RTPARSE_T": TYPES},
    "running_mean": {"RTPARSE_T": TYPES},
    "thumbnail": {"RTPARSE_T": TYPES},
    "scene_cut": {},
    "blend": {},
    "to_bgr": {"RTPARSE_SOURCE": SURFACES},
    "overlay_nv12": {"RTPARSE_SOURCE": ("bgr", *SURFACES)},
}
"""For each kernel, the macros that it is built with and the values they have."""

FOLDER = Path(__file__).parent
"""Where the sources lie: KERNEL.cu, and the headers that they share."""


def variants(kernel: str) -> list[Variant]:
    """Every variant of a kernel."""
    return list(product(*MACROS[kernel].values()))


def entry(kernel: str, variant: Variant) -> str:
    """The name of the variant's entry point, as it stands in PTX and cubin."""
    return "_".join((kernel, *variant))


def definitions(kernel: str, variant: Variant) -> list[str]:
    """The compiler options that choose a variant: ["-DRTPARSE_T=half", ...], the same for NVRTC, nvcc and g++."""
    if variant not in variants(kernel):
        raise ValueError(f"{kernel} has no variant {variant}, expected one value of each of {MACROS[kernel]}")
    return [f"-D{macro}={value}" for macro, value in zip(MACROS[kernel], variant, strict=True)]


def source(kernel: str) -> str:
    """The text of KERNEL.cu; it includes files of `headers`."""
    return (FOLDER / f"{kernel}.cu").read_text()


def headers() -> dict[str, str]:
    """The headers that the kernels include, by name: all of them, no CUDA header is needed."""
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.cuh"))}
