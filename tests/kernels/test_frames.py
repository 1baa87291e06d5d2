"""The runtime's kernels, compiled for the host, against the CPU path that they replace."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtparse import models
from rtparse.classes import PALETTE_RGB
from rtparse.frame import Frame
from rtparse.kernels.frames import (
    BgrFrame,
    Colours,
    Matrix,
    Nv12Frame,
    blend,
    blend_palette,
    letterbox_normalize,
    running_mean,
    scene_cut,
    thumbnail,
    upsample_argmax,
)
from rtparse.kernels.launch import Launch
from rtparse.metadata import ModelMetadata
from rtparse.parsing import Parsing
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, preprocess
from rtparse.render import Renderer
from rtparse.smoothing import Smoother, _thumbnail
from rtparse.sources.picture import PictureReader

RunOnHost = Callable[[Launch], None]
NUMPY = {"half": np.dtype(np.float16), "float": np.dtype(np.float32)}
NETWORK_HW = (176, 304)
EXAMPLE = Path(__file__).parents[2] / "examples/walk.mp4"
LEVELS = ModelMetadata(channel_order="bgr", mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
"""The network's input is the 8-bit levels themselves."""


def clip(path: Path, every: int, first: int | None = None) -> list[av.VideoFrame]:
    """Every so-manieth frame of a clip, or of its first frames."""
    with av.open(str(path)) as container:
        return list(itertools.islice(container.decode(video=0), 0, first, every))


@pytest.fixture(scope="module")
def walk() -> list[NDArray[np.uint8]]:
    """Five frames of the example clip."""
    frames = clip(EXAMPLE, 40)
    return [PictureReader()(frame) for frame in frames]


def padded(array: NDArray[np.generic], pitch: int, offset: int = 0) -> NDArray[np.uint8]:
    """The rows of an array at `offset` in a buffer, `pitch` bytes apart: what `padded(...)[offset:]` points at."""
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    buffer = np.full(offset + pitch * len(rows), 171, np.uint8)
    for i, row in enumerate(rows):
        buffer[offset + i * pitch :][: len(row)] = row
    return buffer


def run_letterbox(
    run_on_host: RunOnHost, dtype: str, image: NDArray[np.uint8], pitch: int, box: Letterbox, metadata: ModelMetadata
) -> NDArray[np.generic]:
    buffer = padded(image, pitch)
    planes = np.full((3, *box.network_hw), np.nan, NUMPY[dtype])
    run_on_host(letterbox_normalize(dtype, BgrFrame(buffer.ctypes.data, pitch), box, metadata, planes.ctypes.data))
    return planes


@pytest.mark.parametrize("dtype", ["half", "float"])
def test_a_shrunk_frame_gives_the_very_input_of_the_cpu(
    run_on_host: RunOnHost, walk: list[NDArray[np.uint8]], dtype: str
) -> None:
    for image in walk:
        box = Letterbox.fit(image.shape[:2], NETWORK_HW)
        planes = run_letterbox(run_on_host, dtype, image, image.strides[0], box, ModelMetadata())
        np.testing.assert_array_equal(planes, preprocess(image, box, ModelMetadata()).astype(NUMPY[dtype]))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("asl-walk.mkv", 40),  # a signer before a studio's wall
        ("one-by-one-person-detection.mp4", 440),  # a person close to the camera, cut at the waist
    ],
)
def test_other_peoples_frames_pass_as_on_the_cpu(run_on_host: RunOnHost, shared: Path, name: str, index: int) -> None:
    """From pixels to labels: the network's input and the labels are the CPU's, with the network between."""
    image = PictureReader()(clip(shared / "media" / name, index, index + 1)[-1])
    box = Letterbox.fit(image.shape[:2], NETWORK_HW)
    planes = run_letterbox(run_on_host, "float", image, image.strides[0], box, ModelMetadata())
    np.testing.assert_array_equal(planes, preprocess(image, box, ModelMetadata()))

    session = onnxruntime.InferenceSession(str(Path(models.__file__).with_name("small.onnx")))
    logits = session.run(None, {session.get_inputs()[0].name: planes[None]})[0][0]
    labels = np.full(image.shape[:2], 171, np.uint8)
    run_on_host(upsample_argmax("float", logits.ctypes.data, logits.shape, box, labels.ctypes.data, image.shape[1]))
    expected = Upsampler(box, logits.shape[1:])(logits)
    assert len(np.unique(expected)) > 5
    assert_same_but_for_ties(labels, expected, logits, box)


@given(
    side=st.tuples(st.integers(1, 400), st.integers(1, 700)),
    spare=st.integers(0, 40),
    network=st.sampled_from([(176, 304), (304, 176), (64, 64)]),
    order=st.sampled_from(["rgb", "bgr"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_letterbox_of_any_size_and_pitch(
    run_on_host: RunOnHost, side: tuple[int, int], spare: int, network: tuple[int, int], order: str, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*side, 3), np.uint8)
    box = Letterbox.fit(side, network)
    metadata = replace(LEVELS, channel_order=order)
    planes = run_letterbox(run_on_host, "float", image, 3 * side[1] + spare, box, metadata)
    expected = preprocess(image, box, metadata)
    enlarged = box.content_hw[0] > side[0] or box.content_hw[1] > side[1]
    # OpenCV enlarges with weights of 11 bits.
    assert np.abs(planes.astype(np.float64) - expected).max() <= (1 if enlarged else 0)


def run_nv12(
    run_on_host: RunOnHost, luma: NDArray[np.uint8], chroma: NDArray[np.uint8], colours: Colours, box: Letterbox
) -> NDArray[np.float32]:
    """The levels (3, H, W) BGR of a frame given as Y (h, w) and U V pairs (ceil(h / 2), ceil(w / 2), 2)."""
    y_pitch, uv_pitch = luma.shape[1] + 15, 2 * chroma.shape[1] + 16
    y, uv = padded(luma, y_pitch), padded(chroma, uv_pitch)
    planes = np.full((3, *box.network_hw), np.nan, np.float32)
    source = Nv12Frame(y.ctypes.data, y_pitch, uv.ctypes.data, uv_pitch, colours)
    run_on_host(letterbox_normalize("float", source, box, LEVELS, planes.ctypes.data))
    return planes


MATRICES: list[tuple[Matrix, bool]] = [
    ("bt601", False),  # standard definition
    ("bt709", False),  # high definition
    ("bt709", True),  # full range, as cameras send
    ("bt2020", False),  # ultra high definition
]


@pytest.mark.parametrize(("matrix", "full_range"), MATRICES)
@pytest.mark.parametrize("frame_hw", [(64, 96), (65, 97)])
def test_nv12_is_converted_by_its_standard(
    run_on_host: RunOnHost, matrix: Matrix, full_range: bool, frame_hw: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    height, width = frame_hw
    luma = rng.integers(0, 256, frame_hw, np.uint8)
    chroma = rng.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    planes = run_nv12(
        run_on_host,
        luma,
        chroma,
        Colours.of(matrix, full_range=full_range),
        Letterbox(frame_hw, (80, 112), frame_hw, 3, 5),
    )
    # ITU-T H.273: E'Y = Kr R + (1 - Kr - Kb) G + Kb B, E'Pb = (B - E'Y) / (2 - 2 Kb), E'Pr = (R - E'Y) / (2 - 2 Kr).
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]
    forward = np.array(
        [
            [red, 1 - red - blue, blue],
            [-red / (2 - 2 * blue), -(1 - red - blue) / (2 - 2 * blue), 0.5],
            [0.5, -(1 - red - blue) / (2 - 2 * red), -blue / (2 - 2 * red)],
        ]
    )
    u, v = chroma.repeat(2, 0).repeat(2, 1)[:height, :width].transpose(2, 0, 1) - 128.0
    analogue = [luma / 255, u / 255, v / 255] if full_range else [(luma - 16.0) / 219, u / 224, v / 224]
    rgb = np.tensordot(np.linalg.inv(forward), np.stack(analogue), 1) * 255
    found = planes[::-1, 3 : 3 + height, 5 : 5 + width]
    assert np.abs(found - rgb.clip(0, 255)).max() <= 0.5001


@pytest.mark.parametrize(("matrix", "full_range"), MATRICES)
def test_nv12_is_nearly_what_ffmpeg_makes_of_it(run_on_host: RunOnHost, matrix: Matrix, full_range: bool) -> None:
    # As YUV 4:2:0 in three planes, which is what FFmpeg's decoders give: there it repeats chroma, as the kernel does.
    # What is left is FFmpeg's own rounding, of tables with 8 bits.
    rng = np.random.default_rng(0)
    height, width = 64, 96
    low, high = (0, 256) if full_range else (16, 236)
    luma = rng.integers(low, high, (height, width), np.uint8)
    chroma = rng.integers(low, high, (height // 2, width // 2, 2), np.uint8)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, (luma, chroma[..., 0], chroma[..., 1]), strict=True):
        plane.update(padded(values, plane.line_size)[: plane.buffer_size])
    frame.color_range = 2 if full_range else 1
    frame.colorspace = {"bt601": 5, "bt709": 1, "bt2020": 9}[matrix]
    box = Letterbox((height, width), (height, width), (height, width), 0, 0)
    planes = run_nv12(run_on_host, luma, chroma, Colours.of(matrix, full_range=full_range), box)
    difference = np.abs(planes.transpose(1, 2, 0) - PictureReader()(frame))
    assert difference.max() <= 4
    assert difference.mean() <= 1


def test_nv12_of_a_real_clip_is_nearly_the_input_of_the_cpu(run_on_host: RunOnHost) -> None:
    for decoded in clip(EXAMPLE, 60):
        height, width = decoded.height, decoded.width
        nv12 = decoded.reformat(format="nv12").to_ndarray()
        box = Letterbox.fit((height, width), NETWORK_HW)
        planes = run_nv12(
            run_on_host,
            nv12[:height],
            nv12[height:].reshape(height // 2, width // 2, 2),
            Colours.of("bt601", full_range=False),  # untagged, and of 576 rows or fewer
            box,
        )
        difference = np.abs(planes - preprocess(PictureReader()(decoded), box, LEVELS))
        assert difference.max() <= 4
        assert difference.mean() <= 1.5  # FFmpeg truncates where the kernel rounds


LOGITS_HW = (NETWORK_HW[0] // 2, NETWORK_HW[1] // 2)


def people(grid_hw: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Logits as a network makes them: a wide background, and smooth fields of every class."""
    rng = np.random.default_rng(seed)
    height, width = grid_hw
    coarse = rng.normal(0, 3, (20, height // 6 + 2, width // 6 + 2)).astype(np.float32)
    logits = np.stack([np.asarray(cv2.resize(plane, (width, height)), np.float32) for plane in coarse])
    logits[0] += 3
    return logits


def dense(logits: NDArray[np.generic], box: Letterbox) -> NDArray[np.float64]:
    """Bilinear interpolation of every class at every pixel of the frame, in float64."""
    rows, columns = (
        np.clip((first + (np.arange(frame) + 0.5) * content / frame) * grid / network - 0.5, 0, grid - 1)[:, None]
        - np.arange(grid)
        for frame, content, first, network, grid in zip(
            box.frame_hw, box.content_hw, (box.top, box.left), box.network_hw, logits.shape[1:], strict=True
        )
    )
    weights_y, weights_x = (np.maximum(1 - np.abs(distance), 0) for distance in (rows, columns))
    values: NDArray[np.float64] = weights_y @ logits.astype(np.float64) @ weights_x.T
    return values


@given(
    frame_hw=st.tuples(st.integers(1, 250), st.integers(1, 250)),
    network_hw=st.sampled_from([(176, 304), (304, 176), (64, 64), (832, 64)]),
    spare=st.integers(0, 9),
    offset=st.integers(0, 3),
    dtype=st.sampled_from(["half", "bfloat16", "float"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_labels_are_the_cpus_but_for_ties(
    run_on_host: RunOnHost,
    frame_hw: tuple[int, int],
    network_hw: tuple[int, int],
    spare: int,
    offset: int,
    dtype: str,
    seed: int,
) -> None:
    box = Letterbox.fit(frame_hw, network_hw)
    logits = people((network_hw[0] // 2, network_hw[1] // 2), seed)
    stored, exact = as_stored(logits, dtype)
    pitch = frame_hw[1] + spare
    buffer = np.full(offset + frame_hw[0] * pitch, 171, np.uint8)
    run_on_host(
        upsample_argmax(dtype, stored.ctypes.data, logits.shape, box, buffer.ctypes.data + offset, pitch)  # type: ignore[arg-type]
    )
    rows = buffer[offset:].reshape(frame_hw[0], pitch)
    assert (rows[:, frame_hw[1] :] == 171).all()
    assert (buffer[:offset] == 171).all()

    labels, expected = rows[:, : frame_hw[1]], Upsampler(box, exact.shape[1:])(exact)  # type: ignore[arg-type]
    assert_same_but_for_ties(labels, expected, exact, box)


def assert_same_but_for_ties(
    labels: NDArray[np.uint8], expected: NDArray[np.uint8], logits: NDArray[np.float32], box: Letterbox
) -> None:
    """Where labels differ, the two classes' logits differ by less than 1e-3; and hardly any do."""
    values = dense(logits, box)
    chosen, best = (np.take_along_axis(values, ids[None].astype(np.intp), 0)[0] for ids in (labels, expected))
    assert np.abs(best - chosen).max() <= 1e-3
    assert (labels != expected).mean() <= 1e-3 or (labels != expected).sum() <= 2


def as_stored(values: NDArray[np.float32], dtype: str) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """The values rounded to a type: as a kernel reads them, and as float32."""
    if dtype == "bfloat16":
        rounded = torch.from_numpy(values).bfloat16()
        return rounded.view(torch.int16).numpy(), rounded.float().numpy()
    stored = values.astype(NUMPY[dtype])
    return stored, stored.astype(np.float32)


def test_of_equal_logits_the_lowest_class_wins(run_on_host: RunOnHost) -> None:
    logits = np.zeros((20, 8, 8), np.float32)
    logits[[3, 7, 11]] = 5
    labels = np.full((50, 50), 171, np.uint8)
    box = Letterbox.fit((50, 50), (16, 16))
    run_on_host(upsample_argmax("float", logits.ctypes.data, (20, 8, 8), box, labels.ctypes.data, 50))
    assert (labels == 3).all()


@pytest.mark.parametrize("dtype", ["half", "bfloat16", "float"])
def test_the_running_mean_is_the_smoothers(run_on_host: RunOnHost, dtype: str) -> None:
    smoother, still = Smoother(0.7), np.zeros((3, 64, 64), np.float32)
    mean = np.full((20, *LOGITS_HW), np.nan, np.float32)
    for frame in range(4):
        stored, exact = as_stored(people(LOGITS_HW, frame), dtype)
        expected = smoother(still, exact)
        strength = 0.7 if frame else 0  # it starts anew over whatever lay there
        run_on_host(running_mean(dtype, stored.ctypes.data, mean.ctypes.data, mean.size, strength))
        # The last bit: OpenCV fuses a product and the sum where the processor can.
        np.testing.assert_allclose(mean, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize(
    "network_hw",
    [
        (176, 304),  # sides that 16 divides, as all of a network's
        (61, 83),  # others: cells share samples
    ],
)
def test_the_thumbnail_is_the_smoothers(run_on_host: RunOnHost, network_hw: tuple[int, int]) -> None:
    planes = np.random.default_rng(0).normal(0, 1, (3, *network_hw)).astype(np.float32)
    found = np.full((3, 16, 16), np.nan, np.float32)
    run_on_host(thumbnail("float", planes.ctypes.data, network_hw, found.ctypes.data))
    np.testing.assert_allclose(found, _thumbnail(planes), rtol=0, atol=1e-6)


def test_cuts_are_the_smoothers(run_on_host: RunOnHost, walk: list[NDArray[np.uint8]]) -> None:
    """A person who walks is no cut; another picture, or a dark one, is."""
    shots = [*walk, *(255 - image for image in walk[:2]), *(image // 3 for image in walk[:2])]
    box = Letterbox.fit(walk[0].shape[:2], NETWORK_HW)
    smoother, cuts = Smoother(0.7), []
    mean, small, before = np.empty((20, *LOGITS_HW), np.float32), *np.full((2, 3, 16, 16), np.nan, np.float32)
    distances = np.full(48, np.nan, np.float32)
    for number, image in enumerate(shots):
        planes, logits = preprocess(image, box, ModelMetadata()), people(LOGITS_HW, number)
        expected = smoother(planes, logits)
        run_on_host(thumbnail("float", planes.ctypes.data, NETWORK_HW, small.ctypes.data))
        run_on_host(scene_cut(small.ctypes.data, before.ctypes.data, distances.ctypes.data))
        np.testing.assert_array_equal(before, small)
        strength = 0.7 if number else 0
        run_on_host(
            running_mean("float", logits.ctypes.data, mean.ctypes.data, mean.size, strength, distances.ctypes.data)
        )
        np.testing.assert_allclose(mean, expected, rtol=0, atol=4e-6)
        if expected is logits:
            cuts.append(number)
    assert cuts == [0, len(walk), len(walk) + 2]


def run_blend(
    run_on_host: RunOnHost,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    alpha: float,
    *,
    spare: int = 0,
    offset: int = 0,
    shown: NDArray[np.bool_] | None = None,
    in_place: bool = False,
) -> NDArray[np.uint8]:
    height, width = labels.shape
    pitch, labels_pitch = 3 * width + spare, width + spare
    frame, classes = padded(image, pitch, offset), padded(labels, labels_pitch, offset)
    output = frame if in_place else np.full_like(frame, 171)
    palette = blend_palette(PALETTE_RGB, shown)
    run_on_host(
        blend(
            BgrFrame(frame.ctypes.data + offset, pitch),
            classes.ctypes.data + offset,
            labels_pitch,
            palette.ctypes.data,
            (height, width),
            alpha,
            BgrFrame(output.ctypes.data + offset, pitch),
        )
    )
    rows = output[offset:].reshape(height, pitch)
    assert (rows[:, 3 * width :] == 171).all()
    return rows[:, : 3 * width].reshape(height, width, 3)


@given(
    side=st.tuples(st.integers(1, 40), st.integers(1, 200)),
    spare=st.integers(0, 20),
    offset=st.integers(0, 16),
    alpha=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    in_place=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_the_overlay_is_the_renderers(
    run_on_host: RunOnHost, side: tuple[int, int], spare: int, offset: int, alpha: float, in_place: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image, labels = rng.integers(0, 256, (*side, 3), np.uint8), rng.integers(0, 20, side, np.uint8)
    expected = Renderer(alpha=alpha, legend=False)(Parsing(Frame(image), labels))
    found = run_blend(run_on_host, image, labels, alpha, spare=spare, offset=offset, in_place=in_place)
    np.testing.assert_array_equal(found, expected)


def test_an_overlay_of_any_weight_is_the_renderers_to_one_level(
    run_on_host: RunOnHost, walk: list[NDArray[np.uint8]]
) -> None:
    # Of weights that binary fractions cannot hold, exact halves are rounded as the processor's multiply-add rounds.
    labels = np.random.default_rng(0).integers(0, 20, walk[0].shape[:2], np.uint8)
    for alpha in (0.1, 0.3, 0.7):
        expected = Renderer(alpha=alpha, legend=False)(Parsing(Frame(walk[0]), labels))
        difference = np.abs(run_blend(run_on_host, walk[0], labels, alpha).astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02


def test_an_overlay_of_chosen_classes(run_on_host: RunOnHost, walk: list[NDArray[np.uint8]]) -> None:
    labels = np.random.default_rng(0).integers(0, 20, walk[0].shape[:2], np.uint8)
    parsing = Parsing(Frame(walk[0]), labels)
    shown = np.isin(np.arange(20), parsing.ids(["face", "hair"]))
    expected = Renderer(classes=["face", "hair"], legend=False)(parsing)
    np.testing.assert_array_equal(run_blend(run_on_host, walk[0], labels, 0.5, shown=shown), expected)
