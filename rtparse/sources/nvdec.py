"""A video file, read by FFmpeg and decoded by NVIDIA's NVDEC into the GPU's memory."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtparse.device import Device, DeviceArray, Event, Stream
from rtparse.device.kernels import Compiler
from rtparse.device.nvcodec import CODECS, decodes, nvcodec, nvcodec_errors
from rtparse.device.surfaces import DeviceFrame, Surface, SurfacePool
from rtparse.errors import DeviceError, MissingDependencyError, SourceError
from rtparse.frame import Frame
from rtparse.kernels.frames import Colours, Matrix, Nv12Frame
from rtparse.kernels.nvrtc import compile_kernel
from rtparse.sources.ffmpeg import open_input
from rtparse.sources.picture import display_matrix, matrix_of
from rtparse.sources.video import VideoSource, video_stream

_log = logging.getLogger("rtparse")

_FORMATS = {"yuv420p", "yuvj420p", "yuv420p10le", "yuv420p12le"}
_MATRICES: dict[int, Matrix] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
"""By code point of ITU-T H.273."""
_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_PARAMETERS = {"h264": (0x1F, 0, {7}), "hevc": (0x3F, 1, {33})}
"""Of a NAL unit's first byte: mask and shift of its type, and the type that tells the size of pictures."""


class NvdecSource(VideoSource):
    """As `VideoSource`, whose containers, times, damage and sizes are its own too; its frames are DeviceFrames.

    What NVDEC does not take, and what follows where it fails midway, is decoded by FFmpeg on the CPU instead, with a
    line in the log `rtparse`: turned and mirrored pictures, pixels that are not square, interlaced ones, odd sides,
    other samplings than 4:2:0, streams without times, and what comes after a corrupt packet or another size. Damage
    within packets shows in pictures and is not counted: NVDEC does not tell.

    gpu: which, as CUDA counts them. on_gpu: whether NVDEC decodes.
    """

    def __init__(
        self, location: Path, gpu: int = 0, *, required: bool = False, compiler: Compiler = compile_kernel
    ) -> None:
        """required: raise SourceError for what NVDEC does not take, and where it is not there
        MissingDependencyError and DeviceError."""
        self.gpu = gpu
        self._path = location.absolute()
        self._nvdec: _Nvdec | None = None
        self._lost = 0
        self._last: int | None = None
        super().__init__(location)
        try:
            self._start(required, compiler)
        except BaseException:
            self.close()
            raise

    @property
    def on_gpu(self) -> bool:
        return self._nvdec is not None

    @property
    def damage(self) -> tuple[str, ...]:
        lost = self._lost
        return (*super().damage, *([f"{lost} picture{'s' * (lost > 1)} could not be decoded"] if lost else []))

    def _start(self, required: bool, compiler: Compiler) -> None:
        first = self._first
        assert first is not None  # or there would have been an error
        try:
            if why := _refusal(self._stream, first, self.gpu):
                raise SourceError(f"{self._name} is not decoded by NVDEC: {why}", "leave --decode nvdec away")
            self._nvdec = _Nvdec(self._name, self._stream, first, self.gpu, compiler)
        except (SourceError, DeviceError, MissingDependencyError) as error:
            if required:
                raise
            if not isinstance(error, MissingDependencyError):
                _log.info("%s is decoded on the CPU: %s", self._name, str(error))
            return
        self._reopen()
        self._decoded = self._decode_on_gpu()
        self._first = None

    def _free(self) -> None:
        super()._free()
        if self._nvdec is not None:
            self._nvdec.close()
            self._nvdec = None

    def _frame(self, decoded: VideoFrame | Decoded, pts: float, index: int) -> Frame:
        if isinstance(decoded, VideoFrame):
            return super()._frame(decoded, pts, index)
        if isinstance(decoded.pixels, Surface):
            return DeviceFrame(surface=decoded.pixels, pts=pts, index=index, name=self._name)
        return Frame(decoded.pixels, pts, index, self._name)

    def _reopen(self) -> None:
        """Read the file from its start."""
        self._container.close()
        self._container = open_input(str(self._path), self._name)
        self._stream = video_stream(self._container, self._name)
        self._stream.thread_type = "AUTO"
        self._corrupt_packets = self._corrupt_pictures = 0

    def _decode_on_gpu(self) -> Iterator[Any]:
        nvdec = self._nvdec
        assert nvdec is not None
        try:
            for packet in self._packets(self._stream):
                if packet is not None and (why := nvdec.unfit(packet)):
                    raise DeviceError(why)
                last = packet is None or packet.size == 0  # which filtering empties
                yield from self._given_out(nvdec, packet)
                if last:
                    break
            self._lost += nvdec.missing
            return
        except DeviceError as error:
            # Text: the error itself would keep the pictures of its traceback.
            _log.warning("%s is decoded on the CPU from here on: %s", self._name, str(error))
        self._nvdec = None
        nvdec.close()
        yield from self._decode_rest()

    def _given_out(self, nvdec: _Nvdec, packet: av.Packet[VideoStream] | None) -> Iterator[Decoded]:
        for decoded in nvdec.decode(packet):
            self._last = decoded.pts
            yield decoded

    def _decode_rest(self) -> Iterator[VideoFrame]:
        """What comes after the last picture, by FFmpeg, from a keyframe before it."""
        last = self._last
        frames = self._decode_from(last)
        first = next(frames, None)
        if last is not None and (first is None or first.pts is None or first.pts > last):
            frames, first = self._decode_from(None), None  # it could not seek there
        for frame in itertools.chain([first] if first else [], frames):
            # Up to the very one, as times may begin anew after it.
            if last is None or (frame.pts is not None and frame.pts > last):
                last = None
                yield frame
            elif frame.pts == last:
                last = None

    def _decode_from(self, ticks: int | None) -> Iterator[VideoFrame]:
        """From a keyframe before that time; None is the start."""
        self._reopen()
        if ticks is not None:
            try:
                self._container.seek(ticks, stream=self._stream)
            except av.error.FFmpegError:
                self._reopen()
        return self._decode(self._stream)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture from NVDEC. pts, duration: in ticks, as FFmpeg says of its packet. pixels: on the GPU, or, where too
    many are there already, (H, W, 3) uint8 BGR on the host."""

    pts: int
    duration: int
    pixels: Surface | NDArray[np.uint8]


class _Nvdec:
    """A decoder session and what its pictures are copied into. missing: packets whose picture never came."""

    def __init__(self, name: str, stream: VideoStream, first: VideoFrame, gpu: int, compiler: Compiler) -> None:
        self._nvc = nvcodec()
        self._name = name
        self._codec = stream.codec_context.codec.canonical_name
        self._size_hw = (first.height, first.width)
        self._parameters: bytes | None = None
        self._filter = BitStreamFilterContext(_FILTERS[self._codec], stream) if self._codec in _FILTERS else None
        self._waiting: dict[int, int] = {}  # durations of pictures that were given in
        self._skipped: set[int] = set()  # pictures that an edit list hides
        self._began: int | None = None
        wide = first.format.components[0].bits > 8
        self._pitch = first.width * (2 if wide else 1)
        full_range = first.color_range == ColorRange.JPEG or first.format.name == "yuvj420p"
        colours = Colours.of(_MATRICES[matrix_of(first)], full_range=full_range, bits=first.format.components[0].bits)
        form = Nv12Frame(0, self._pitch, 0, self._pitch, colours, "p016" if wide else "nv12")
        with ExitStack() as stack:
            device = Device(gpu)
            self._pool = SurfacePool(device, form, self._size_hw, compiler=compiler)
            stack.callback(self._pool.close)
            self._device = device
            self._form = form
            self._stream = stack.enter_context(Stream(device))
            self._copied = stack.enter_context(Event(device))
            with nvcodec_errors(f"NVDEC cannot decode {name}"), device.current():
                self._decoder: Any = self._nvc.CreateDecoder(
                    gpuid=gpu,
                    codec=getattr(self._nvc.cudaVideoCodec, CODECS[self._codec]),
                    cudacontext=device.handle,
                    cudastream=self._stream.handle,
                    usedevicememory=True,
                )
            stack.callback(self._end)
            self._closing = stack.pop_all()

    @property
    def missing(self) -> int:
        return sum(self._began is None or pts > self._began for pts in self._waiting)

    def unfit(self, packet: av.Packet[VideoStream]) -> str:
        """Why the pictures from this packet on are not for this session, "" where they are."""
        if packet.size == 0:
            return ""
        if packet.is_corrupt:
            return "a packet is corrupt"
        if packet.pts is None:
            return "a picture has no time"
        return "the stream's parameters change" if packet.has_sidedata("new_extradata") else ""

    def decode(self, packet: av.Packet[VideoStream] | None) -> Iterator[Decoded]:
        """What comes out for a packet; for None, or the empty one, all that is left. Raises DeviceError.

        A picture is to be taken before the next packet goes in.
        """
        if packet is None or packet.size == 0:
            yield from self._decode(self._nvc.PacketData())
            return
        pts, duration, key = packet.pts, packet.duration or 0, packet.is_keyframe
        assert pts is not None  # or it is unfit
        if packet.is_discard:
            self._skipped.add(pts)
        self._waiting[pts] = duration
        for part in self._filter.filter(packet) if self._filter else [packet]:
            data = np.frombuffer(bytes(part), np.uint8)
            if key and self._changed(data):
                raise DeviceError("the stream's parameters change")
            given = self._nvc.PacketData()
            given.bsl_data, given.bsl, given.pts = data.ctypes.data, data.nbytes, pts
            yield from self._decode(given)

    def close(self) -> None:
        self._closing.close()

    def _end(self) -> None:
        with self._device.current():
            self._decoder = None

    def _decode(self, given: Any) -> Iterator[Decoded]:
        with nvcodec_errors(f"NVDEC cannot decode {self._name}"), self._device.current():
            pictures = self._decoder.Decode(given)
        for picture in pictures:
            pts = int(picture.getPTS())
            if pts not in self._waiting:
                raise DeviceError(f"NVDEC gave a picture at {pts}, which is no time of the stream")
            duration = self._waiting.pop(pts)
            self._began = pts if self._began is None else self._began
            if pts in self._skipped:
                self._skipped.remove(pts)
                continue
            yield Decoded(pts, duration, self._kept(picture))

    def _kept(self, picture: Any) -> Surface | NDArray[np.uint8]:
        """A copy of a decoded picture, which lies where the next one will."""
        luma, chroma = (view.__cuda_array_interface__ for view in picture.cuda())
        height, width = luma["shape"][:2]
        if (height, width) != self._size_hw:
            raise DeviceError(f"a picture has {width}x{height} pixels, the first has {self._size_hw[::-1]}")
        # PyNvVideoCodec states the strides of 16-bit samples in samples. Rows lie as close as they can.
        if luma["strides"][0] > self._pitch:
            raise DeviceError(f"rows of pictures are {luma['strides'][0]} bytes apart, expected {self._pitch}")
        addresses = luma["data"][0], chroma["data"][0]
        surface = self._pool.take()
        with self._device.current():
            if surface is None:
                self._stream.record(self._copied)
                return self._pool.bgr(replace(self._form, luma=addresses[0], chroma=addresses[1]), self._copied)
            for plane, address in zip(surface.planes, addresses, strict=True):
                self._stream.copy(plane, DeviceArray(address, plane.shape, plane.dtype, picture))
            self._stream.record(surface.ready)
        return surface

    def _changed(self, data: NDArray[np.uint8]) -> bool:
        """Whether a keyframe comes with other parameters than the first: another size, maybe."""
        if self._codec not in _PARAMETERS:
            return False
        mask, shift, wanted = _PARAMETERS[self._codec]
        units = re.split(b"\0\0\1", data[:4096].tobytes())[1:-1]
        found = b"".join(unit for unit in units if unit and (unit[0] >> shift & mask) in wanted)
        changed = bool(found) and self._parameters not in (None, found)
        self._parameters = found or self._parameters
        return changed


def _refusal(stream: VideoStream, first: VideoFrame, gpu: int) -> str:
    """Why NVDEC is not to decode the stream, "" where it is. Raises MissingDependencyError, DeviceError."""
    nvcodec()
    form = first.format.name
    if form not in _FORMATS:
        return f"its pictures are {form}"
    if display_matrix(first) != (1, 0, 0, 1):
        return "its pictures are turned"
    if round(first.width * (stream.sample_aspect_ratio or 1)) != first.width:
        return "its pixels are not square"
    if first.interlaced_frame:
        return "its pictures are interlaced"
    if first.width % 2 or first.height % 2:
        return f"its pictures have odd sides, {first.width}x{first.height}"
    if first.pts is None:
        return "its pictures have no times"
    if matrix_of(first) not in _MATRICES:
        return f"its colours have the matrix {matrix_of(first)}"
    codec = stream.codec_context.codec.canonical_name
    return decodes(gpu, codec, first.format.components[0].bits, first.width, first.height)
