"""Every kernel at an ordinary size, for `rtparse bench`: a launch, the memory it wants, and the bytes it must move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rtparse.kernels import MACROS, SURFACES
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
from rtparse.kernels.surfaces import Classes, overlay_nv12, to_bgr
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.smoothing import THUMBNAIL_SIDE

MAPS = 64
"""Channels of each of the four maps that the Smooth module of `small` concatenates, of 1/8, 1/4, 1/2 and 1/2."""
PALETTE = 1024
"""Bytes of a `blend_palette`."""


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
    shapes = [(1, MAPS, max(height // part, 1), max(width // part, 1)) for part in (4, 2, 1, 1)]
    item = ITEMSIZE[sizes.given]
    memory = (*(math.prod(shape) * item for shape in shapes), 4 * MAPS * height * width * item)
    for layout in ("linear", "hwc8"):

        def launch(*at: int, layout: str = layout) -> Launch:
            return upsample_concat(sizes.given, layout, at[:-1], shapes, at[-1])

        yield Workload(memory, launch, sum(memory))


def _letterbox_normalize(sizes: Sizes) -> Iterator[Workload]:
    box = sizes.letterbox
    planes = 3 * math.prod(box.network_hw) * ITEMSIZE[sizes.given]
    for picture, at in _pictures(box.frame_hw):

        def launch(*where: int, at: _At = at) -> Launch:
            return letterbox_normalize(sizes.given, at(*where[:-1]), box, ModelMetadata(), where[-1])

        yield Workload((*picture, planes), launch, sum(picture) + planes)


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

    yield Workload((3 * pixels, pixels, PALETTE), launch, 7 * pixels)


def _to_bgr(sizes: Sizes) -> Iterator[Workload]:
    height, width = hw = sizes.letterbox.frame_hw
    for picture, at in _surfaces(hw):

        def launch(*where: int, at: Callable[..., Nv12Frame] = at) -> Launch:
            return to_bgr(at(*where[:-1]), hw, BgrFrame(where[-1], 3 * width))

        yield Workload((*picture, 3 * height * width), launch, sum(picture) + 3 * height * width)


def _overlay_nv12(sizes: Sizes) -> Iterator[Workload]:
    hw = sizes.letterbox.frame_hw
    height, width = (2 * math.ceil(side / 2) for side in hw)
    luma, chroma, labels = height * width, height * width // 2, math.prod(hw)
    for picture, at in _pictures(hw):

        def launch(*where: int, at: _At = at) -> Launch:
            labels, palette, luma, chroma = where[-4:]
            drawn = Classes(labels, hw[1], palette, 0.5)
            return overlay_nv12(at(*where[:-4]), hw, (luma, chroma), width, "bt709", classes=drawn)

        yield Workload((*picture, labels, PALETTE, luma, chroma), launch, sum(picture) + labels + luma + chroma)


_At = Callable[..., BgrFrame | Nv12Frame]
"""A picture at the addresses of its parts."""


def _pictures(hw: tuple[int, int]) -> Iterator[tuple[tuple[int, ...], _At]]:
    """Each kind of picture: the bytes of its parts, and the picture at their addresses."""
    height, width = hw
    yield (3 * height * width,), lambda address: BgrFrame(address, 3 * width)
    yield from _surfaces(hw)


def _surfaces(hw: tuple[int, int]) -> Iterator[tuple[tuple[int, ...], Callable[..., Nv12Frame]]]:
    """Those that a decoder leaves."""
    height, width = hw
    colours = Colours.of("bt709", full_range=False)
    for samples in SURFACES:
        item = 2 if samples == "p016" else 1
        pitches = item * width, item * 2 * math.ceil(width / 2)

        def at(luma: int, chroma: int, kind: str = samples, pitches: tuple[int, int] = pitches) -> Nv12Frame:
            return Nv12Frame(luma, pitches[0], chroma, pitches[1], colours, kind)

        yield (height * pitches[0], math.ceil(height / 2) * pitches[1]), at


_MAKERS: dict[str, Callable[[Sizes], Iterator[Workload]]] = {
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
