"""The kernels for decoders' and encoders' pictures, compiled for the host, against FFmpeg and the CPU's renderer."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.classes import CLASSES, PALETTE_RGB
from rtparse.frame import Frame
from rtparse.kernels.frames import BgrFrame, Colours, Matrix, Nv12Frame, blend_palette, letterbox_normalize
from rtparse.kernels.launch import Launch
from rtparse.kernels.surfaces import Classes, Panel, overlay_nv12, point_to, to_bgr
from rtparse.legend import SHADE
from rtparse.metadata import ModelMetadata
from rtparse.parsing import Parsing
from rtparse.preprocess import Letterbox
from rtparse.render import Renderer
from rtparse.sinks.encoder import PictureEncoder
from rtparse.sources.picture import PictureReader

RunOnHost = Callable[[Launch], None]
LEVELS = ModelMetadata(channel_order="bgr", mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
COLOURS: list[tuple[Matrix, bool]] = [
    ("bt601", False),  # standard definition
    ("bt709", False),  # high definition
    ("bt709", True),  # full range, as cameras send
    ("bt2020", False),  # ultra high definition
]
SAMPLES = {"nv12": ("yuv420p", np.uint8), "p016": ("yuv420p10le", np.uint16)}


class Picture:
    """A random picture as FFmpeg decodes it and as NVDEC does, of smooth colours or of noise."""

    def __init__(
        self,
        samples: str,
        matrix: Matrix,
        full_range: bool,
        frame_hw: tuple[int, int] = (64, 96),
        *,
        smooth: bool = False,
    ) -> None:
        form, dtype = SAMPLES[samples]
        height, width = frame_hw
        self.frame_hw = frame_hw
        bits = 10 if samples == "p016" else 8
        low, high = (0, 2**bits) if full_range else (16 << bits - 8, (235 << bits - 8) + 1)
        rng = np.random.default_rng(0)
        if smooth:
            across = np.linspace(low + (60 << bits - 8), high - (60 << bits - 8), width)
            luma = np.broadcast_to(across, frame_hw).astype(dtype, "C")
            chroma = np.full((height // 2, width // 2, 2), (110 << bits - 8, 150 << bits - 8), dtype)
        else:
            luma = rng.integers(low, high, frame_hw).astype(dtype)
            chroma = rng.integers(low, high, (height // 2, width // 2, 2)).astype(dtype)
        self.decoded = av.VideoFrame(width, height, form)
        for plane, values in zip(self.decoded.planes, (luma, chroma[..., 0], chroma[..., 1]), strict=True):
            rows = np.zeros((values.shape[0], plane.line_size), np.uint8)
            rows[:, : values.shape[1] * values.itemsize] = np.ascontiguousarray(values).view(np.uint8)
            plane.update(rows.ravel()[: plane.buffer_size])
        self.decoded.color_range = 2 if full_range else 1
        self.decoded.colorspace = {"bt601": 5, "bt709": 1, "bt2020": 9}[matrix]
        shift = 16 - bits if samples == "p016" else 0
        self.luma, self.chroma = luma << shift, chroma << shift
        self.frame = Nv12Frame(
            self.luma.ctypes.data,
            self.luma.strides[0],
            self.chroma.ctypes.data,
            self.chroma.strides[0],
            Colours.of(matrix, full_range=full_range, bits=bits),
            samples,
        )

    def part(self, y: int, x: int) -> Nv12Frame:
        """What begins at row y and column x."""
        luma, chroma = self.luma[y:, x:], self.chroma[y // 2 :, x // 2 :]
        return replace(self.frame, luma=luma.ctypes.data, chroma=chroma.ctypes.data, row=y % 2, column=x % 2)


def bgr_of(run_on_host: RunOnHost, frame: Nv12Frame, frame_hw: tuple[int, int]) -> NDArray[np.uint8]:
    found = np.full((*frame_hw, 3), 171, np.uint8)
    run_on_host(to_bgr(frame, frame_hw, BgrFrame(found.ctypes.data, found.strides[0])))
    return found


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize(("matrix", "full_range"), COLOURS)
def test_a_decoded_picture_is_nearly_what_ffmpeg_makes_of_it(
    run_on_host: RunOnHost, samples: str, matrix: Matrix, full_range: bool
) -> None:
    # Of 10 bits FFmpeg interpolates the chroma: there the colours are even.
    picture = Picture(samples, matrix, full_range, smooth=samples == "p016")
    found = bgr_of(run_on_host, picture.frame, picture.frame_hw)
    difference = np.abs(found.astype(int) - PictureReader()(picture.decoded))
    assert found.std() > 20
    assert difference.max() <= 4
    assert difference.mean() <= 1.5  # FFmpeg truncates where the kernel rounds


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize(("y", "x"), [(0, 0), (2, 4), (1, 0), (0, 1), (7, 13)])  # even and odd in each direction
def test_a_part_has_the_whole_pictures_colours(run_on_host: RunOnHost, samples: str, y: int, x: int) -> None:
    picture = Picture(samples, "bt709", False)
    whole = bgr_of(run_on_host, picture.frame, picture.frame_hw)
    np.testing.assert_array_equal(bgr_of(run_on_host, picture.part(y, x), (40, 50)), whole[y : y + 40, x : x + 50])


@pytest.mark.parametrize("samples", SAMPLES)
def test_the_network_sees_those_colours(run_on_host: RunOnHost, samples: str) -> None:
    picture = Picture(samples, "bt709", True)
    whole = bgr_of(run_on_host, picture.frame, picture.frame_hw)
    given_hw = (61, 90)
    box = Letterbox.fit(given_hw, (32, 48))
    expected, found = (np.full((3, 32, 48), np.nan, np.float32) for _ in range(2))
    part = whole[1 : 1 + given_hw[0], 3 : 3 + given_hw[1]]
    run_on_host(
        letterbox_normalize("float", BgrFrame(part.ctypes.data, whole.strides[0]), box, LEVELS, expected.ctypes.data)
    )
    launch = letterbox_normalize("float", picture.part(9, 11), box, LEVELS, found.ctypes.data)
    point_to(launch, picture.part(1, 3))
    run_on_host(launch)
    np.testing.assert_array_equal(found, expected)


def overlaid(
    run_on_host: RunOnHost, frame: BgrFrame | Nv12Frame, frame_hw: tuple[int, int], matrix: Matrix, **drawn: object
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = (side + side % 2 for side in frame_hw)
    planes = np.full((height * 3 // 2, width + 6), 171, np.uint8)
    pitch = planes.strides[0]
    run_on_host(
        overlay_nv12(frame, frame_hw, (planes.ctypes.data, planes[height:].ctypes.data), pitch, matrix, **drawn)
    )
    assert (planes[:, width:] == 171).all()
    return planes[:height, :width], planes[height:, :width].reshape(height // 2, width // 2, 2)


@pytest.mark.parametrize(("matrix", "full_range"), COLOURS)
def test_where_nothing_is_drawn_the_samples_stay(run_on_host: RunOnHost, matrix: Matrix, full_range: bool) -> None:
    picture = Picture("nv12", matrix, full_range)
    luma, chroma = overlaid(run_on_host, picture.frame, picture.frame_hw, matrix)
    if full_range:  # what comes out is limited
        assert np.abs(luma - (16 + picture.luma * (219 / 255))).max() <= 0.5001
        assert np.abs(chroma - (128 + (picture.chroma - 128.0) * (224 / 255))).max() <= 0.5001
    else:
        np.testing.assert_array_equal(luma, picture.luma)
        np.testing.assert_array_equal(chroma, picture.chroma)


def test_ten_bits_are_rounded_to_eight(run_on_host: RunOnHost) -> None:
    picture = Picture("p016", "bt2020", False)
    luma, chroma = overlaid(run_on_host, picture.frame, picture.frame_hw, "bt2020")
    assert np.abs(luma - picture.luma / 256).max() <= 0.5001
    assert np.abs(chroma - picture.chroma / 256).max() <= 0.5001


@pytest.mark.parametrize("frame_hw", [(64, 96), (63, 95)])
def test_a_picture_of_the_cpu_is_coded_as_ffmpeg_codes_it(run_on_host: RunOnHost, frame_hw: tuple[int, int]) -> None:
    # No noise: FFmpeg's filter for chroma reaches over the neighbours.
    y, x = np.mgrid[: frame_hw[0], : frame_hw[1]]
    image = np.dstack([20 + 2 * x, 240 - 3 * y, 60 + x + y]).astype(np.uint8)
    found = overlaid(run_on_host, BgrFrame(image.ctypes.data, image.strides[0]), frame_hw, "bt601")
    padded = np.pad(image, ((0, frame_hw[0] % 2), (0, frame_hw[1] % 2), (0, 0)), "edge")
    coded = _as_the_cpu_codes(padded)
    for ours, theirs in zip(found, coded, strict=True):
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.max() <= 2
        assert difference.mean() < 0.6


def _as_the_cpu_codes(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma and chroma as `PictureEncoder` gives them to the codec: lossless, so that they can be read back."""
    height, width = image.shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        encoder = PictureEncoder(output, "ffv1", {}, (width, height), Fraction(25), Fraction(1, 1000))
        encoder.write(image, 0)
        encoder.finish(40)
    file.seek(0)
    with av.open(file) as coded:
        planes = next(coded.decode(video=0)).to_ndarray()
    chroma = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0)
    return planes[:height], chroma


@pytest.mark.parametrize("classes", [None, ("hair", "face")])
def test_an_overlay_is_the_renderers(run_on_host: RunOnHost, classes: tuple[str, ...] | None) -> None:
    picture = Picture("nv12", "bt601", False, (240, 320), smooth=True)
    frame = bgr_of(run_on_host, picture.frame, picture.frame_hw)
    labels = np.random.default_rng(1).integers(0, 20, (3, 4), np.uint8).repeat(80, 0).repeat(80, 1)
    parsing = Parsing(Frame(frame), labels, CLASSES, PALETTE_RGB)
    expected = _as_the_cpu_codes(Renderer(alpha=0.4, classes=classes)(parsing))
    drawing = Renderer(alpha=0.4, classes=classes).drawing(parsing)
    assert drawing is not None
    assert drawing.panel is not None
    panel = np.dstack([drawing.panel.text, drawing.panel.swatches])
    palette = blend_palette(PALETTE_RGB, drawing.shown)
    found = overlaid(
        run_on_host,
        picture.frame,
        picture.frame_hw,
        "bt601",
        classes=Classes(labels.ctypes.data, labels.strides[0], palette.ctypes.data, drawing.alpha),
        panel=Panel(panel.ctypes.data, *panel.shape[:2], SHADE),
    )
    luma, chroma = (np.abs(ours.astype(int) - theirs) for ours, theirs in zip(found, expected, strict=True))
    assert luma.max() <= 3  # the CPU rounds after each step
    assert chroma.mean() < 0.3  # FFmpeg's filter for chroma reaches over edges
    assert np.quantile(chroma, 0.95) <= 1
    assert luma.mean() < 0.5


def test_other_views_are_not_drawn_so() -> None:
    parsing = Parsing(Frame(np.zeros((8, 8, 3), np.uint8)), np.zeros((8, 8), np.uint8))
    assert Renderer("labels").drawing(parsing) is None
    assert Renderer("side-by-side").drawing(parsing) is None
