"""Fixtures that every room's tests may use."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from av.codec.context import Flags
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtparse.kernels import FOLDER, definitions, entry
from rtparse.kernels.launch import Launch
from rtparse.metadata import ModelMetadata


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real media and data beside the checkout; tests that need it are skipped where it is absent."""
    folder = (Path(__file__).parents[1] / "../shared").resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def make_onnx() -> Callable[..., Path]:
    """Write a real ONNX model: one 3x3 convolution of stride 2 from pictures to logits, with random weights.

    make_onnx(path, given=("N", 3, "H", "W"), classes=20, dtype=TensorProto.FLOAT, metadata=ModelMetadata()) -> path
    """

    def make(
        path: Path,
        given: tuple[int | str, ...] = ("N", 3, "H", "W"),
        classes: int = 20,
        dtype: int = TensorProto.FLOAT,
        metadata: ModelMetadata | None = None,
    ) -> Path:
        weights = np.random.default_rng(0).normal(0, 1, (classes, given[1], 3, 3))
        element = helper.tensor_dtype_to_np_dtype(dtype)
        node = helper.make_node("Conv", ["image", "weights"], ["logits"], strides=[2, 2], pads=[1, 1, 1, 1])
        graph = helper.make_graph(
            [node],
            "tiny",
            [helper.make_tensor_value_info("image", dtype, given)],
            [helper.make_tensor_value_info("logits", dtype, (given[0], classes, "h", "w"))],
            [numpy_helper.from_array(weights.astype(element), "weights")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, (metadata or ModelMetadata(name="tiny", size_hw=(64, 64))).to_props())
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_onnx(make_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dynamic sides whose input has about 64x64 pixels."""
    return make_onnx(tmp_path_factory.mktemp("models") / "tiny.onnx")


def grey_steps(index: int) -> NDArray[np.uint8]:
    """(64, 96, 3): a grey that tells the index, and noise below, so that packets have a size worth breaking."""
    picture = np.full((64, 96, 3), 20 + 8 * (index % 26), np.uint8)
    picture[32:] = np.random.default_rng(index).integers(0, 255, (32, 96, 3), np.uint8)
    return picture


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Encodes a video (and a 440 Hz tone) with FFmpeg and returns its path."""

    def make(
        name: str,
        *,
        picture: Callable[[int], NDArray[np.uint8]] = grey_steps,
        frames: int = 25,
        fps: int = 25,
        times: Sequence[Fraction] = (),
        tick: Fraction = Fraction(1, 60_000),
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        rotation: tuple[int, bool, bool] = (0, False, False),
        audio: str | None = None,
        audio_rate: int = 48_000,
        audio_start: Fraction = Fraction(0),
        audio_seconds: float | None = None,
        **stream_fields: Any,
    ) -> Path:
        path = tmp_path / name
        times = times or [Fraction(index, fps) for index in range(frames)]
        seconds = audio_seconds if audio_seconds is not None else frames / fps
        with av.open(
            path, "w", container_options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}
        ) as output:
            height, width = picture(0).shape[:2]
            video = output.add_stream(
                codec, rate=fps, options=options or {}, width=width, height=height, time_base=tick
            )
            video.pix_fmt = pix_fmt
            video.codec_context.flags |= Flags.frame_duration
            for field, value in stream_fields.items():
                setattr(video.codec_context, field, value)
            if rotation != (0, False, False):
                video.set_display_rotation(*rotation)
            sound = output.add_stream(audio, rate=audio_rate, layout="stereo") if audio else None
            done = 0
            for index, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(picture(index), format="bgr24")
                frame.pts, frame.time_base = round(time / tick), tick
                after = times[index + 1] if index + 1 < len(times) else time + Fraction(1, fps)
                frame.duration = round((after - time) / tick)
                output.mux(video.encode(frame))
                while sound and done < seconds * audio_rate and done <= (time - audio_start) * audio_rate:
                    output.mux(sound.encode(_tone(done, audio_rate, audio_start)))
                    done += 1024
            output.mux(video.encode(None))
            while sound and done < seconds * audio_rate:
                output.mux(sound.encode(_tone(done, audio_rate, audio_start)))
                done += 1024
            if sound:
                output.mux(sound.encode(None))
        return path

    return make


def _tone(start: int, rate: int, offset: Fraction) -> av.AudioFrame:
    wave = np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / rate) * 8000
    frame = av.AudioFrame.from_ndarray(
        np.repeat(wave, 2).astype(np.int16).reshape(1, -1), format="s16", layout="stereo"
    )
    frame.sample_rate, frame.pts, frame.time_base = rate, start + round(offset * rate), Fraction(1, rate)
    return frame


@pytest.fixture(scope="session")
def host_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, tuple[str, ...]], Path]:
    """Compiles a kernel for the host: host_library("upsample_argmax", ("half",)) -> a shared library.

    It exports `ENTRY_host(const unsigned grid[3], const unsigned block[3], void** params)`.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")
    folder = tmp_path_factory.mktemp("kernels")
    options = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]

    @functools.cache
    def build(kernel: str, variant: tuple[str, ...]) -> Path:
        path = folder / f"{entry(kernel, variant)}.so"
        macros = ["-DRTPARSE_HOST", *definitions(kernel, variant)]
        command = [compiler, *options, *macros, "-shared", "-fPIC", "-x", "c++", FOLDER / f"{kernel}.cu", "-o", path]
        subprocess.run(command, check=True)
        return path

    return build


@pytest.fixture(scope="session")
def run_on_host(host_library: Callable[[str, tuple[str, ...]], Path]) -> Callable[[Launch], None]:
    """Runs a launch, whose addresses are of host memory, by the kernel's host build."""

    def run(launch: Launch) -> None:
        function = getattr(ctypes.CDLL(str(host_library(launch.kernel, launch.variant))), f"{launch.entry}_host")
        function((ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block), launch.params())

    return run
