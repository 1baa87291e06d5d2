"""The view of every parsing as a video file, drawn and encoded on the GPU, by NVIDIA's NVENC."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.device import Device, DeviceBuffer, HostBuffer, Kernels, Stream
from rtparse.device.kernels import Compiler
from rtparse.device.nvcodec import encodes, nvcodec, nvcodec_errors
from rtparse.device.surfaces import DeviceFrame
from rtparse.errors import DeviceError, UsageError
from rtparse.kernels.frames import BgrFrame, Matrix, Nv12Frame, blend_palette
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.kernels.surfaces import Classes, Panel, overlay_nv12
from rtparse.legend import SHADE
from rtparse.parsing import Parsing
from rtparse.render import Drawing, Renderer
from rtparse.sinks.encoder import is_high_definition, letterboxed
from rtparse.sinks.video import Encoder, VideoSink, video_format
from rtparse.sources.base import SourceInfo

_HINT = "leave it to the CPU: --encode cpu"
_IDR = 3
"""PyNvVideoCodec's picture_type of pictures at which a video can be joined."""
_SETTINGS = {"preset": "P4", "tuning_info": "high_quality", "rc": "vbr", "cq": "23", "bf": "0", "gop": "250"}
"""As for libx264 no B-frames: packets come in the order of the pictures."""
_TAGS = "{}_metadata=video_full_range_flag=0:colour_primaries=1:transfer_characteristics=1:matrix_coefficients={}"
_BT709, _BT601 = 1, 6
_MOST_H264 = 4096
"""The longest side that NVENC encodes as H.264; larger pictures become HEVC."""


def check_nvenc(path: Path) -> None:
    """Raise UsageError where NVENC cannot write a file of that name, MissingDependencyError or DeviceError where it is
    not there."""
    if video_format(path).codec != "libx264":
        raise UsageError(f"NVENC cannot encode {path}", "choose .mp4, .mov or .mkv, or leave --encode nvenc away")
    nvcodec()


class NvencSink(VideoSink):
    """As `VideoSink`, by NVENC: H.264, or HEVC where the pictures are too large for it.

    Overlays of frames that lie on the GPU are drawn there: their labels go up, and nothing comes down. What else
    `view` draws is drawn on the CPU and goes up.
    """

    def __init__(
        self,
        path: Path,
        info: SourceInfo,
        view: Callable[[Parsing], NDArray[np.uint8]],
        audio_from: str | None = None,
        *,
        gpu: int = 0,
        compiler: Compiler = compile_kernel,
    ) -> None:
        """gpu: as CUDA counts them; that of the frames which lie on one.

        Raises as `VideoSink` and `check_nvenc` do, and DeviceError where the GPU cannot be used or encodes no pictures
        of that size; so does the first `write` where the size is not known before.
        """
        check_nvenc(path)
        if info.width and info.height:
            _check_size((info.width, info.height), gpu)
        super().__init__(path, info, view, audio_from)
        self._gpu = gpu
        try:
            self._view = self._canvas = Canvas(view, gpu, compiler)
        except BaseException:
            super().abort()
            raise

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self._free()

    def abort(self) -> None:
        super().abort()
        self._free()

    def _encoder_for(self, output: OutputContainer, size_wh: tuple[int, int]) -> Encoder:
        _check_size(size_wh, self._gpu)
        return NvencEncoder(output, self._canvas, size_wh, self._fps, self._tick, self._gpu)

    def _free(self) -> None:
        if isinstance(self._encoder, NvencEncoder):
            self._encoder.close()
        self._canvas.close()


@dataclass(frozen=True, slots=True)
class Nv12Picture:
    """A picture in the GPU's memory as NVENC takes it. shape: before its sides were made even."""

    shape: tuple[int, int]
    planes: tuple[dict[str, Any], dict[str, Any]]

    def cuda(self) -> list[_Plane]:
        """What PyNvVideoCodec asks a frame for."""
        return [_Plane(plane) for plane in self.planes]


@dataclass(frozen=True, slots=True)
class _Plane:
    __cuda_array_interface__: dict[str, Any]


class Canvas(Closing):
    """Draws parsings as NV12 in the GPU's memory, all in the size of the first. For one thread.

    A picture is there until the next one is drawn. stream: in whose work it is drawn.
    """

    def __init__(self, view: Callable[[Parsing], NDArray[np.uint8]], gpu: int, compiler: Compiler) -> None:
        self._draw_on_cpu = view
        self._renderer = view if isinstance(view, Renderer) else None
        self._made: dict[str, tuple[HostBuffer, DeviceBuffer]] = {}
        self._sent: dict[str, object] = {}
        self._size_hw: tuple[int, int] | None = None
        self._target: DeviceBuffer | None = None
        with ExitStack() as stack:
            self.device = stack.enter_context(Device(gpu))
            self.stream = stack.enter_context(Stream(self.device))
            self._kernels = stack.enter_context(Kernels(self.device, compiler))
            self._closing = stack.pop_all()

    def __call__(self, parsing: Parsing) -> Nv12Picture:
        """Raises DeviceError."""
        frame = parsing.frame
        if (
            self._renderer is not None
            and isinstance(frame, DeviceFrame)
            and self._size_hw in (None, frame.size_hw)
            and (drawing := self._renderer.drawing(parsing)) is not None
        ):
            self.stream.wait(frame.surface.ready)
            return self._drawn(
                frame.surface.frame, frame.size_hw, self._classes(parsing, drawing), self._panel(drawing)
            )
        image = self._draw_on_cpu(parsing)
        if self._size_hw is not None:
            image = letterboxed(image, (self._size_hw[1], self._size_hw[0]))
        height, width = image.shape[:2]
        return self._drawn(BgrFrame(self._upload("image", image), 3 * width), (height, width), None, None)

    def close(self) -> None:
        self._closing.close()

    def _drawn(
        self, source: BgrFrame | Nv12Frame, size_hw: tuple[int, int], classes: Classes | None, panel: Panel | None
    ) -> Nv12Picture:
        height, width = (side + side % 2 for side in size_hw)
        if self._target is None:
            self._size_hw = size_hw
            self._target = DeviceBuffer(self.device, (height * width * 3 // 2,), np.uint8)
        luma = self._target.array.pointer
        chroma = luma + height * width
        matrix: Matrix = "bt709" if is_high_definition((width, height)) else "bt601"
        launch = overlay_nv12(source, size_hw, (luma, chroma), width, matrix, classes=classes, panel=panel)
        self._kernels.prepare(launch)(self.stream)
        return Nv12Picture(
            size_hw,
            (
                _interface(luma, (height, width, 1), (width, 1, 1)),
                _interface(chroma, (height // 2, width // 2, 2), (width, 2, 1)),
            ),
        )

    def _classes(self, parsing: Parsing, drawing: Drawing) -> Classes:
        palette = blend_palette(parsing.palette_rgb, drawing.shown)
        key = palette.tobytes()
        address = self._upload("palette", palette, key)
        return Classes(self._upload("labels", parsing.labels), parsing.labels.shape[1], address, drawing.alpha)

    def _panel(self, drawing: Drawing) -> Panel | None:
        if (panel := drawing.panel) is None:
            return None
        height, width = panel.swatches.shape
        address = self._upload("panel", np.dstack([panel.text, panel.swatches]), panel)
        return Panel(address, height, width, SHADE)

    def _upload(self, name: str, values: NDArray[np.uint8], key: object = None) -> int:
        """The address of a copy; key: not copied again while it stays equal."""
        made = self._made.get(name)
        if made is None or made[1].array.shape != values.shape:
            for each in made or ():
                each.close()
            with ExitStack() as failed:
                made = (
                    failed.enter_context(HostBuffer(self.device, values.shape, np.uint8)),
                    failed.enter_context(DeviceBuffer(self.device, values.shape, np.uint8)),
                )
                failed.pop_all()
            self._made[name] = made
        elif key is not None and self._sent.get(name) == key:
            return made[1].array.pointer
        host, there = made
        np.copyto(host.array, values)
        self.stream.upload(there.array, host.array)
        self._sent[name] = key
        return there.array.pointer


class NvencEncoder(Closing):
    """As `PictureEncoder`, for the pictures of a Canvas, whose size and stream it shares."""

    def __init__(
        self,
        output: OutputContainer,
        canvas: Canvas,
        size_wh: tuple[int, int],
        fps: Fraction,
        tick: Fraction,
        gpu: int,
    ) -> None:
        """Raises DeviceError where the GPU begins no session more."""
        width, height = (side + side % 2 for side in size_wh)
        codec = _codec(size_wh)
        self._output = output
        self._canvas = canvas
        self._tick = tick
        self._ticks: deque[int] = deque()
        self._packets: deque[dict[str, Any]] = deque()
        with nvcodec_errors("NVENC cannot encode", _HINT), canvas.device.current():
            self._encoder: Any = nvcodec().CreateEncoder(
                width,
                height,
                "NV12",
                False,
                codec=codec,
                gpu_id=gpu,
                fps=f"{float(fps):.2f}",
                cudacontext=canvas.device.handle,
                cudastream=canvas.stream.handle,
                **_SETTINGS,
            )
            parameters = bytes(self._encoder.GetSequenceParams())
        # PyNvVideoCodec tags colours as of full range, or not at all: FFmpeg does it instead, in what describes the
        # stream to the muxer and in the packets.
        tags = _TAGS.format(codec, _BT709 if is_high_definition((width, height)) else _BT601)
        with av.open(io.BytesIO(parameters), "r", format=codec) as read:
            self._tag = BitStreamFilterContext(tags, read.streams.video[0])
            tagged = b"".join(map(bytes, self._tag.filter(av.Packet(parameters))))
        with av.open(io.BytesIO(tagged), "r", format=codec) as read:
            stream = output.add_stream_from_template(read.streams.video[0], width=width, height=height)
        self._stream: VideoStream = stream
        self._stream.time_base = tick

    def write(self, picture: Nv12Picture, ticks: int) -> None:
        """Show the picture from this time on; ticks must grow. It may be drawn over afterwards."""
        self._ticks.append(ticks)
        with nvcodec_errors("NVENC cannot encode", _HINT), self._canvas.device.current():
            self._packets.extend(self._encoder.Encode(picture))
        self._canvas.stream.synchronize()
        self._mux()

    def finish(self, until: int) -> None:
        """Show the last picture until this time, and write what the encoder holds back."""
        self._ticks.append(until)
        with nvcodec_errors("NVENC cannot encode", _HINT), self._canvas.device.current():
            self._packets.extend(self._encoder.EndEncode())
        self._mux()
        if len(self._ticks) != 1 or self._packets:
            raise DeviceError(f"NVENC gave packets for all but {len(self._ticks) - 1} pictures", _HINT)

    def close(self) -> None:
        with suppress(DeviceError), self._canvas.device.current():
            self._encoder = None
        self._encoder = None  # of a GPU that was lost too

    def _mux(self) -> None:
        # A packet waits here until it is known how long its picture shows.
        while self._packets and len(self._ticks) > 1:
            given, pts = self._packets.popleft(), self._ticks.popleft()
            (packet,) = self._tag.filter(av.Packet(bytes(given["data"])))
            packet.pts = packet.dts = pts
            packet.duration = self._ticks[0] - pts
            packet.time_base = self._tick
            packet.is_keyframe = given["picture_type"] == _IDR
            packet.stream = self._stream
            self._output.mux(packet)


def _codec(size_wh: tuple[int, int]) -> str:
    return "h264" if max(size_wh) <= _MOST_H264 else "hevc"


def _check_size(size_wh: tuple[int, int], gpu: int) -> None:
    width, height = (side + side % 2 for side in size_wh)
    if why := encodes(gpu, _codec(size_wh), width, height):
        raise DeviceError(why, _HINT)


def _interface(address: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> dict[str, Any]:
    return {"shape": shape, "strides": strides, "typestr": "|u1", "data": (address, False), "version": 3}
