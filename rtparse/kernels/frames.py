"""Launches of the kernels that frames pass: letterbox_normalize, those that smooth, upsample_argmax, blend.

All addresses are device addresses; what lies there belongs to the caller. Sizes, pitches and element counts stay below
2**31. Every kernel runs on one frame: in a batch, pass the address of the sample.
"""

from __future__ import annotations

import ctypes
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtparse.kernels.launch import BLOCK, Argument, Launch, ceil_div
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.smoothing import CUT_DISTANCE, THUMBNAIL_SIDE

_pointer, _int, _float = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float

THUMBNAIL_ROWS = 3 * THUMBNAIL_SIDE
"""Of the three channels."""

Matrix = Literal["bt601", "bt709", "bt2020"]

LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {  # of red and blue
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True)
class Colours:
    """How NV12 becomes RGB: with y = (Y - black) * gain and u, v around 0, R = y + red_v * v and so on."""

    black: float
    gain: float
    red_v: float
    green_u: float
    green_v: float
    blue_u: float

    @classmethod
    def of(cls, matrix: Matrix, *, full_range: bool, bits: int = 8) -> Colours:
        """By the stream's tags. full_range: Y and chroma use 0..255; otherwise Y 16..235, chroma 16..240.

        bits: of a sample as it was coded. A 10-bit one, 0..1023, lies in P016 times 64, that is at 0..255.75 in levels
        of 8 bits; so the full range ends there.
        """
        red, blue = LUMA_WEIGHTS[matrix]
        green = 1 - red - blue
        whole = 255 / ((2**bits - 1) / 2 ** (bits - 8))
        black, gain, spread = (0.0, whole, whole) if full_range else (16.0, 255 / 219, 255 / 224)
        return cls(
            black,
            gain,
            2 * (1 - red) * spread,
            -2 * (1 - blue) * blue / green * spread,
            -2 * (1 - red) * red / green * spread,
            2 * (1 - blue) * spread,
        )


@dataclass(frozen=True)
class BgrFrame:
    """(H, W, 3) uint8 at an address, rows `pitch` bytes apart."""

    address: int
    pitch: int


@dataclass(frozen=True)
class Nv12Frame:
    """Y (H, W) and, for every 2x2 pixels, a pair U V: (ceil(H / 2), ceil(W / 2), 2). Pitches in bytes.

    samples: "nv12" for uint8, "p016" for uint16 whose upper bits hold the sample.
    row, column: 1 where it is a part of a picture that begins amid the lines, or columns, that share chroma.
    """

    luma: int
    luma_pitch: int
    chroma: int
    chroma_pitch: int
    colours: Colours
    samples: str = "nv12"
    row: int = 0
    column: int = 0


def picture_arguments(frame: BgrFrame | Nv12Frame) -> tuple[str, tuple[Argument, ...]]:
    """How the kernels name such a picture, and their first arguments (pictures.cuh)."""
    if isinstance(frame, BgrFrame):
        return "bgr", (_pointer(frame.address), _int(frame.pitch))
    planes = (_pointer(frame.luma), _int(frame.luma_pitch), _pointer(frame.chroma), _int(frame.chroma_pitch))
    return frame.samples, (*planes, _int(frame.row), _int(frame.column), *map(_float, astuple(frame.colours)))


def letterbox_normalize(
    dtype: str, frame: BgrFrame | Nv12Frame, letterbox: Letterbox, metadata: ModelMetadata, output: int
) -> Launch:
    """The network's input (3, H, W) of `dtype` at `output`, from a frame of `letterbox.frame_hw`.

    Equal to `rtparse.preprocess.preprocess` where the frame is shrunk; where it is enlarged, within one 8-bit level.
    """
    kind, source = picture_arguments(frame)
    height, width = letterbox.network_hw
    sizes = (*letterbox.frame_hw, *letterbox.content_hw, letterbox.top, letterbox.left, height, width)
    scales = [1 / (255 * std) for std in metadata.std]
    shifts = [mean / std for mean, std in zip(metadata.mean, metadata.std, strict=True)]
    return Launch(
        "letterbox_normalize",
        (dtype, kind),
        (ceil_div(height * width, BLOCK), 1, 1),
        (
            *source,
            *map(_int, sizes),
            _int(metadata.channel_order == "rgb"),
            *map(_float, scales + shifts),
            _pointer(output),
        ),
    )


def thumbnail(dtype: str, network_input: int, network_hw: tuple[int, int], output: int) -> Launch:
    """The thumbnail (3, 16, 16) float32 at `output` that tells a scene cut, as `rtparse.smoothing` makes it.

    network_input: (3, H, W) of `dtype`.
    """
    return Launch(
        "thumbnail",
        (dtype,),
        (ceil_div(3 * THUMBNAIL_SIDE**2, BLOCK), 1, 1),
        (_pointer(network_input), *map(_int, (3, *network_hw, THUMBNAIL_SIDE)), _pointer(output)),
    )


def scene_cut(thumbnail: int, before: int, distances: int) -> Launch:
    """How far each row of a thumbnail is from the one before, at `distances` (48,) float32; it replaces that one.

    thumbnail, before: (3, 16, 16) float32. It compares with what lies there: of a first frame that means nothing.
    """
    return Launch(
        "scene_cut",
        (),
        (ceil_div(THUMBNAIL_ROWS, BLOCK), 1, 1),
        (
            _pointer(thumbnail),
            _pointer(before),
            _int(THUMBNAIL_ROWS),
            _int(THUMBNAIL_SIDE),
            _pointer(distances),
        ),
    )


def running_mean(dtype: str, logits: int, mean: int, count: int, strength: float, distances: int = 0) -> Launch:
    """mean = strength * mean + (1 - strength) * logits, in place, of `count` values: logits `dtype`, mean float32.

    At strength 0 the mean becomes the logits, whatever it held: so it starts anew. It does so too at a scene cut, which
    `distances` tell as `scene_cut` leaves them; at 0 there are no cuts.
    """
    limit = CUT_DISTANCE * THUMBNAIL_ROWS * THUMBNAIL_SIDE
    return Launch(
        "running_mean",
        (dtype,),
        (ceil_div(count, BLOCK), 1, 1),
        (
            _pointer(logits),
            _pointer(mean),
            _int(count),
            _float(strength),
            _float(1 - strength),
            _pointer(distances),
            _int(THUMBNAIL_ROWS if distances else 0),
            _float(limit),
        ),
    )


def upsample_argmax(
    dtype: str, logits: int, shape: tuple[int, int, int], letterbox: Letterbox, labels: int, pitch: int
) -> Launch:
    """Labels uint8 of `letterbox.frame_hw`, rows `pitch` bytes apart, as `rtparse.postprocess.Upsampler` makes them.

    logits: `shape` (classes, h, w) of `dtype`, contiguous; "float" for a running mean. They differ from the CPU's
    labels only where two classes tie within float32's rounding of the coordinates.
    """
    classes, *grid_hw = shape
    axes = zip(
        letterbox.frame_hw,
        grid_hw,
        (letterbox.top, letterbox.left),
        letterbox.content_hw,
        letterbox.network_hw,
        strict=True,
    )
    # The same two numbers an axis as in Upsampler: how far apart frame pixels lie on the grid, and where it begins.
    maps = [(content * grid / network / frame, first * grid / network) for frame, grid, first, content, network in axes]
    height, width = letterbox.frame_hw
    return Launch(
        "upsample_argmax",
        (dtype,),
        (ceil_div(height * ceil_div(width, 4), BLOCK), 1, 1),
        (
            _pointer(logits),
            *map(_int, (classes, *grid_hw, height, width)),
            *(_float(value) for axis in maps for value in axis),
            _pointer(labels),
            _int(pitch),
        ),
    )


def blend_palette(palette_rgb: NDArray[np.uint8], shown: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """What `blend` looks colours up in: (256, 4) uint8, blue, green, red and whether the class is drawn.

    palette_rgb: (classes, 3). shown: (classes,); None means all but the background.
    """
    table = np.zeros((256, 4), np.uint8)
    count = len(palette_rgb)
    table[:count, :3] = palette_rgb[:, ::-1]
    table[1:count, 3] = 1 if shown is None else shown[1:]
    return table


def blend(
    frame: BgrFrame,
    labels: int,
    labels_pitch: int,
    palette: int,
    frame_hw: tuple[int, int],
    alpha: float,
    output: BgrFrame,
) -> Launch:
    """The overlay view of `rtparse.render.Renderer`, without its legend; `output` may be the frame itself.

    palette: the address of a `blend_palette`. alpha: weight of the colours, 0..1.
    """
    height, width = frame_hw
    return Launch(
        "blend",
        (),
        (ceil_div(height * ceil_div(width, 16), BLOCK), 1, 1),
        (
            _pointer(frame.address),
            _int(frame.pitch),
            _pointer(labels),
            _int(labels_pitch),
            _pointer(palette),
            _int(height),
            _int(width),
            _float(1 - alpha),
            _float(alpha),
            _pointer(output.address),
            _int(output.pitch),
        ),
    )
