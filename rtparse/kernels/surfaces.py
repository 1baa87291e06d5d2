"""Launches of the kernels for pictures as NVIDIA's decoders and encoders hold them: to_bgr, overlay_nv12.

All addresses are device addresses; what lies there belongs to the caller.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from rtparse.kernels.frames import LUMA_WEIGHTS, BgrFrame, Matrix, Nv12Frame, picture_arguments
from rtparse.kernels.launch import BLOCK, Launch, ceil_div

_pointer, _int, _float = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float


@dataclass(frozen=True)
class Classes:
    """Labels uint8 at an address, rows `pitch` bytes apart, drawn in the colours of a `blend_palette` at another.

    alpha: weight of the colours, 0..1.
    """

    labels: int
    pitch: int
    palette: int
    alpha: float


@dataclass(frozen=True)
class Panel:
    """A legend (height, width, 4) uint8 at an address: blue, green, red, and whether it hides the picture.

    shade: how much of the picture shows through elsewhere, 0..1; the brighter of the two is shown.
    """

    address: int
    height: int
    width: int
    shade: float


def point_to(launch: Launch, frame: Nv12Frame) -> None:
    """Let a launch that reads a picture read another one, which differs from it by its addresses alone."""
    launch.arguments[0].value = frame.luma
    launch.arguments[2].value = frame.chroma


def to_bgr(frame: Nv12Frame, frame_hw: tuple[int, int], output: BgrFrame) -> Launch:
    """The colours (H, W, 3) that `letterbox_normalize` reads; nearly those of `rtparse.sources.picture`."""
    height, width = frame_hw
    samples, source = picture_arguments(frame)
    return Launch(
        "to_bgr",
        (samples,),
        (ceil_div(height * width, BLOCK), 1, 1),
        (*source, _int(height), _int(width), _pointer(output.address), _int(output.pitch)),
    )


def overlay_nv12(
    frame: BgrFrame | Nv12Frame,
    frame_hw: tuple[int, int],
    output: tuple[int, int],
    pitch: int,
    matrix: Matrix,
    *,
    classes: Classes | None = None,
    panel: Panel | None = None,
) -> Launch:
    """The overlay view of `rtparse.render.Renderer`, with its legend, as NV12 of limited range.

    output: the addresses of luma (H, W) and of chroma (H / 2, W / 2, 2), sides rounded up to even, rows `pitch` apart.
    classes, panel: None draws none.
    """
    height, width = frame_hw
    kind, source = picture_arguments(frame)
    red, blue = LUMA_WEIGHTS[matrix]
    drawn = classes or Classes(0, 0, 0, 0.0)
    over = panel or Panel(0, 0, 0, 0.0)
    return Launch(
        "overlay_nv12",
        (kind,),
        (ceil_div(ceil_div(height, 2) * ceil_div(width, 2), BLOCK), 1, 1),
        (
            *source,
            _int(height),
            _int(width),
            _pointer(drawn.labels),
            _int(drawn.pitch),
            _pointer(drawn.palette),
            _float(1 - drawn.alpha),
            _float(drawn.alpha),
            _pointer(over.address),
            _int(over.height),
            _int(over.width),
            _float(over.shade),
            *map(_float, (red, blue, 16, 219 / 255, 224 / 255 / (2 - 2 * blue), 224 / 255 / (2 - 2 * red))),
            _pointer(output[0]),
            _int(pitch),
            _pointer(output[1]),
            _int(pitch),
        ),
    )
