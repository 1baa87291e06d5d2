"""From a frame to the network's input: which size, where the frame lies in it, and the numbers themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError
from rtparse.metadata import SIZE_MULTIPLE, ModelMetadata

MIN_SIDE = 64
"""The shortest side of an automatic input size: below it the network's 1/16 map has nothing to look around in."""

BUDGET_SLACK = 1.1
"""How far an automatic size may exceed the pixel budget: multiples of 16 seldom meet it."""

Size = str | tuple[int, int]
"""A user's choice of the input size: "auto", "HxW", or (height, width)."""


@dataclass(frozen=True)
class Letterbox:
    """Where a frame lies in the network's input: scaled to `content_hw`, its corner at (top, left), padding around.

    The exact map between pixel centres, used in both directions:
    x_network = left + (x_frame + 0.5) * content width / frame width - 0.5, and so for y.
    """

    frame_hw: tuple[int, int]
    network_hw: tuple[int, int]
    content_hw: tuple[int, int]
    top: int
    left: int

    @classmethod
    def fit(cls, frame_hw: tuple[int, int], network_hw: tuple[int, int]) -> Letterbox:
        """The largest centred place for the frame that keeps its aspect ratio (to a pixel; each side at least 1)."""
        content_hw = _content(frame_hw, network_hw)
        top, left = ((network - content) // 2 for network, content in zip(network_hw, content_hw, strict=True))
        return cls(frame_hw, network_hw, content_hw, top, left)


def _content(frame_hw: tuple[int, int], network_hw: tuple[int, int]) -> tuple[int, int]:
    scale = min(network_hw[0] / frame_hw[0], network_hw[1] / frame_hw[1])
    height, width = (max(1, round(side * scale)) for side in frame_hw)
    return height, width


def network_size(
    frame_hw: tuple[int, int], budget: int, sizes: Iterable[tuple[int, int]] | None = None
) -> tuple[int, int]:
    """The input size (height, width) for frames of one size.

    budget: pixels that the input should have, exceeded by 10 % at most (but never under 64x64).
    sizes: the sizes on offer; None means every pair of multiples of 16 with sides of 64 or more.
    Of the sizes within the budget (of the smallest, where all exceed it) the one that shows the frame largest for the
    pixels it costs: the greatest content² / area, which a size with more padding only wins by showing more.
    """
    if sizes is None:
        most = max(budget * BUDGET_SLACK, MIN_SIDE**2)
        sides = range(MIN_SIDE, int(most) // MIN_SIDE + 1, SIZE_MULTIPLE)
        offered = [(h, w) for h, w in product(sides, sides) if h * w <= most]
    else:
        offered = sorted(sizes, key=lambda size: size[0] * size[1])
        offered = [(h, w) for h, w in offered if h * w <= budget * BUDGET_SLACK] or offered[:1]

    def merit(size: tuple[int, int]) -> float:
        height, width = _content(frame_hw, size)
        return (height * width) ** 2 / (size[0] * size[1])

    return max(offered, key=merit)


def fixed_size(size: Size, sizes: tuple[tuple[int, int], ...] | None) -> tuple[int, int] | None:
    """What the user asked for: (height, width), or None for "auto".

    sizes: what the engine offers, None for any multiple of 16.
    Raises UsageError for anything that is no pair of positive multiples of 16, or is not on offer.
    """
    if size == "auto":
        return None
    try:
        height, width = (int(side) for side in (size.lower().split("x") if isinstance(size, str) else size))
    except (ValueError, TypeError):
        raise UsageError(f"got size {size!r}", 'expected "auto", "HxW" such as "256x192", or (height, width)') from None
    if min(height, width) < SIZE_MULTIPLE or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        nearest = "x".join(str(max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE) for side in (height, width))
        raise UsageError(f"size {height}x{width} is no pair of multiples of {SIZE_MULTIPLE}", f"the nearest: {nearest}")
    if sizes is not None and (height, width) not in sizes:
        offered = ", ".join(f"{h}x{w}" for h, w in sizes)
        raise UsageError(f"the model has no input size {height}x{width}", f"choose from: {offered}, auto")
    return height, width


def preprocess(
    image_bgr: NDArray[np.uint8],
    letterbox: Letterbox,
    metadata: ModelMetadata,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The network's input (3, H, W) float32 for an image (h, w, 3) uint8 BGR of size `letterbox.frame_hw`.

    Scaled by area when shrinking and bilinearly when enlarging, in the metadata's channel order, (value / 255 - mean) /
    std; the padding is the mean colour, so zero. `out`, where given, is filled and returned. Thread-safe.
    """
    if out is None:
        out = np.empty((3, *letterbox.network_hw), np.float32)
    content = _scale(image_bgr, letterbox.content_hw)
    top, left = letterbox.top, letterbox.left
    bottom, right = top + content.shape[0], left + content.shape[1]
    out[:, :top] = out[:, bottom:] = 0
    out[:, top:bottom, :left] = out[:, top:bottom, right:] = 0
    planes = cv2.split(content)
    for channel, plane in enumerate(planes if metadata.channel_order == "bgr" else planes[::-1]):
        mean, std = metadata.mean[channel], metadata.std[channel]
        place = out[channel, top:bottom, left:right]
        np.multiply(plane, np.float32(1 / (255 * std)), out=place)
        place -= np.float32(mean / std)
    return out


def _scale(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size_hw
    if height > image.shape[0] or width > image.shape[1]:
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    # Averaging whole blocks first takes half the time of one resize, or less: OpenCV has a fast path for it.
    whole = min(image.shape[0] // height, image.shape[1] // width)
    for wh in (image.shape[1] // whole, image.shape[0] // whole), (width, height):
        image = np.asarray(cv2.resize(image, wh, interpolation=cv2.INTER_AREA), np.uint8)
    return image
