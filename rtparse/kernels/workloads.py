"""Every kernel at an ordinary size, for `rtparse bench`: a launch, the memory it wants, and the bytes it must move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rtparse.kernels import MACROS
from rtparse.kernels.frames import (
    THUMBNAIL_ROWS,
    BgrFrame,
    Colours,
    Nv12Frame,
    blend,
    letterbox_normalize,
    running_mean,
    scene_cut,
    thumbnail,
    upsample_argmax,
)
from rtparse.kernels.launch import ITEMSIZE, Launch, upsample_concat
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.smoothing import THUMBNAIL_SIDE

MAPS = 64
"""Channels of each map that the Smooth module of `small` concatenates."""


@dataclass(frozen=True)
class Sizes:
    """What a frame is on its way. given, logits: the element types of the network's input and logits, as `TYPES` has
    them. logits_shape: (classes, h, w)."""

    letterbox: Letterbox
    logits_shape: tuple[int, int, int]
    given: str
    logits: str


@dataclass(frozen=True)
class Workload:
    """memory: bytes of each array that the kernel reads or writes. launch: of their addresses, multiples of 16.

    moved: bytes that must be read and bytes that must be written, each once.
    """

    memory: tuple[int, ...]
    launch: Callable[..., Launch]
    moved: int


def workloads(sizes: Sizes) -> Iterator[Workload]:
    """Of each kernel in `MACROS` those variants that a frame of that size can meet."""
    for kernel in MACROS:
        yield from _MAKERS[kernel](sizes)


def _upsample_concat(sizes: Sizes) -> Iterator[Workload]:
    _, height, width = sizes.logits_shape
    shapes = [(1, MAPS, max(height // part, 1), max(width // part, 1)) for part in (8, 4, 2, 1)]
    item = ITEMSIZE[sizes.given]
    memory = (*(math.prod(shape) * item for shape in shapes), 4 * MAPS * height * width * item)
    for layout in ("linear", "hwc8"):

        def launch(*at: int, layout: str = layout) -> Launch:
            return upsample_concat(sizes.given, layout, at[:-1], shapes, at[-1])

        yield Workload(memory, launch, sum(memory))


def _letterbox_normalize(sizes: Sizes) -> Iterator[Workload]:
    box = sizes.letterbox
    (height, width), planes = box.frame_hw, 3 * math.prod(box.network_hw) * ITEMSIZE[sizes.given]

    def bgr(frame: int, output: int) -> Launch:
        return letterbox_normalize(sizes.given, BgrFrame(frame, 3 * width), box, ModelMetadata(), output)

    yield Workload((3 * height * width, planes), bgr, 3 * height * width + planes)
    luma, chroma = height * width, 2 * math.ceil(height / 2) * math.ceil(width / 2)

    def nv12(luma: int, chroma: int, output: int) -> Launch:
        frame = Nv12Frame(luma, width, chroma, 2 * math.ceil(width / 2), Colours.of("bt709", full_range=False))
        return letterbox_normalize(sizes.given, frame, box, ModelMetadata(), output)

    yield Workload((luma, chroma, planes), nv12, luma + chroma + planes)


def _upsample_argmax(sizes: Sizes) -> Iterator[Workload]:
    box = sizes.letterbox
    logits, labels = math.prod(sizes.logits_shape) * ITEMSIZE[sizes.logits], math.prod(box.frame_hw)

    def launch(given: int, output: int) -> Launch:
        return upsample_argmax(sizes.logits, given, sizes.logits_shape, box, output, box.frame_hw[1])

    yield Workload((logits, labels), launch, logits + labels)


def _running_mean(sizes: Sizes) -> Iterator[Workload]:
    count = math.prod(sizes.logits_shape)
    logits, mean, distances = count * ITEMSIZE[sizes.logits], 4 * count, 4 * THUMBNAIL_ROWS

    def launch(given: int, mean: int, distances: int) -> Launch:
        return running_mean(sizes.logits, given, mean, count, 0.5, distances)

    yield Workload((logits, mean, distances), launch, logits + 2 * mean + distances)


def _thumbnail(sizes: Sizes) -> Iterator[Workload]:
    network_hw = sizes.letterbox.network_hw
    planes, small = 3 * math.prod(network_hw) * ITEMSIZE[sizes.given], 4 * THUMBNAIL_ROWS * THUMBNAIL_SIDE

    def launch(given: int, output: int) -> Launch:
        return thumbnail(sizes.given, given, network_hw, output)

    yield Workload((planes, small), launch, planes + small)


def _scene_cut(sizes: Sizes) -> Iterator[Workload]:
    small, distances = 4 * THUMBNAIL_ROWS * THUMBNAIL_SIDE, 4 * THUMBNAIL_ROWS
    yield Workload((small, small, distances), scene_cut, 3 * small + distances)


def _blend(sizes: Sizes) -> Iterator[Workload]:
    height, width = hw = sizes.letterbox.frame_hw
    pixels = height * width

    def launch(frame: int, labels: int, palette: int) -> Launch:
        picture = BgrFrame(frame, 3 * width)
        return blend(picture, labels, width, palette, hw, 0.5, picture)

    yield Workload((3 * pixels, pixels, 1024), launch, 7 * pixels)


_MAKERS: dict[str, Callable[[Sizes], Iterator[Workload]]] = {
    "upsample_concat": _upsample_concat,
    "letterbox_normalize": _letterbox_normalize,
    "upsample_argmax": _upsample_argmax,
    "running_mean": _running_mean,
    "thumbnail": _thumbnail,
    "scene_cut": _scene_cut,
    "blend": _blend,
}
