"""A stand-in for PyNvVideoCodec, for what rtparse does with it: pictures are decoded and encoded by FFmpeg on the host
and move to and from the stand-in driver's memory in the order of the stream that was given.

What a call takes and gives is the real one's, its oddities too; `test_nvcodec_wheel.py` compares the names.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray
from standin_driver import twin_of

from rtparse.device import Device, DeviceBuffer, Kernels
from rtparse.device.driver import call
from rtparse.kernels import Variant
from rtparse.kernels.launch import Launch
from rtparse.kernels.nvrtc import Compiled

cudaVideoCodec = Enum("cudaVideoCodec", {"H264": 4, "HEVC": 8, "VP9": 10, "AV1": 11})  # noqa: N816
cudaVideoChromaFormat = Enum("cudaVideoChromaFormat", {"Monochrome": 0, "420": 1, "422": 2, "444": 3})  # noqa: N816

DECODERS = {cudaVideoCodec.H264: "h264", cudaVideoCodec.HEVC: "hevc", cudaVideoCodec.VP9: "vp9"}
"""AV1 this GPU does not decode."""
FRESH = 171
sessions: list[str] = []
"""Those under way: "decoder", "encoder"."""
fail: dict[str, int] = {}
"""After how many calls of a name the next one fails."""


class PyNvVCException(Exception):  # noqa: N818
    pass


def _called(name: str) -> None:
    if name in fail:
        fail[name] -= 1
        if fail[name] < 0:
            del fail[name]
            raise PyNvVCException(
                f"{name} : \nError code : 999\nError Type : the stand-in was told to fail\nat x.cpp:1\n"
            )


class PacketData:
    def __init__(self) -> None:
        self.bsl_data = self.bsl = self.pts = self.dts = self.duration = 0


class CAIMemoryView:
    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], typestr: str, address: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": list(shape),
            "strides": list(strides),
            "typestr": typestr,
            "data": (address, False),
            "stream": 2,
            "version": 3,
        }


class DecodedFrame:
    def __init__(self, pts: int, views: list[CAIMemoryView]) -> None:
        self._pts = pts
        self._views = views

    def getPTS(self) -> int:  # noqa: N802
        return self._pts

    def cuda(self) -> list[CAIMemoryView]:
        return self._views


class _Session:
    """What moves bytes in the order of a stream."""

    def __init__(self, kind: str, gpu: int, context: int, stream: int) -> None:
        assert context
        assert stream
        self._kind = kind
        self.device = Device(gpu)
        assert self.device.handle == context
        self._stream = stream
        self._kernels = Kernels(self.device, _compile)
        self._kept: list[Any] = []  # what is on its way
        sessions.append(kind)

    def move(self, source: int, target: int, size: int, kept: object = None) -> None:
        launch = Launch(
            "moved", (), (1, 1, 1), (ctypes.c_void_p(source), ctypes.c_void_p(target), ctypes.c_int32(size)), (1, 1, 1)
        )
        self._kernels.prepare(launch)(_Handle(self._stream))
        self._kept.append((launch, kept))

    def synchronize(self) -> None:
        with self.device.current():
            call("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        sessions.remove(self._kind)
        self.device.close()


class _Handle:
    """As much of a Stream as a launch reads."""

    def __init__(self, handle: int) -> None:
        self.handle = handle


def _compile(kernel: str, variant: Variant = (), *, arch: str) -> Compiled:
    return twin_of(Path(__file__).with_name(f"{kernel}.cu"), kernel)


def GetDecoderCaps(gpuid: int, codec: Any, chromaformat: Any, bitdepth: int) -> dict[str, int]:  # noqa: N802
    _called("GetDecoderCaps")
    known = codec in DECODERS and chromaformat.name == "420" and (bitdepth == 8 or codec is not cudaVideoCodec.H264)
    sizes = {"width_min": 48, "height_min": 16, "width_max": 8192, "height_max": 8192}
    return {"num_decoder_engines": int(known), "bitdepth": bitdepth, **(sizes if known else dict.fromkeys(sizes, 0))}


def GetEncoderCaps(gpuid: int, codec: str) -> dict[str, int]:  # noqa: N802
    _called("GetEncoderCaps")
    most = 4096 if codec == "h264" else 8192
    return {"num_encoder_engines": 1, "width_min": 32, "height_min": 32, "width_max": most, "height_max": most}


def CreateDecoder(  # noqa: N802
    gpuid: int, codec: Any, cudacontext: int, cudastream: int, usedevicememory: bool
) -> PyNvDecoder:
    _called("CreateDecoder")
    assert usedevicememory is True
    return PyNvDecoder(DECODERS[codec], _Session("decoder", gpuid, cudacontext, cudastream))


class PyNvDecoder:
    """Its pictures lie in memory that the next packet's pictures are written into."""

    def __init__(self, codec: str, session: _Session) -> None:
        self._session = session
        self._context = av.CodecContext.create(codec, "r")
        self._buffers: list[DeviceBuffer] = []

    def Decode(self, packet: PacketData) -> list[DecodedFrame]:  # noqa: N802
        _called("Decode")
        given = None
        if packet.bsl:
            given = av.Packet(ctypes.string_at(packet.bsl_data, packet.bsl))
            given.pts, given.time_base = packet.pts, Fraction(1, 1000)
        return [self._put(place, frame) for place, frame in enumerate(self._context.decode(given))]

    def _put(self, place: int, frame: av.VideoFrame) -> DecodedFrame:
        wide = frame.format.components[0].bits > 8
        height, width = frame.height, frame.width
        planes = surface_of(frame)
        if place == len(self._buffers):
            self._buffers.append(DeviceBuffer(self._session.device, planes.shape, planes.dtype))
        address = self._buffers[place].array.pointer
        self._session.move(planes.ctypes.data, address, planes.nbytes, planes)
        typestr = "|u2" if wide else "|u1"
        return DecodedFrame(
            int(frame.pts or 0),
            [
                # Strides of 16-bit samples are the real one's: counted in samples.
                CAIMemoryView((height, width, 1), (width, 1, 1), typestr, address),
                CAIMemoryView(
                    (height // 2, width // 2, 2), (width, 2, 1), typestr, address + height * width * planes.itemsize
                ),
            ],
        )

    def __del__(self) -> None:
        self._session.close()


def surface_of(frame: av.VideoFrame) -> NDArray[Any]:
    """(H * 3 / 2, W): NV12, or P016 where the picture has more than 8 bits."""
    bits = frame.format.components[0].bits
    planes = frame.reformat(format="yuv420p" if bits == 8 else f"yuv420p{bits}le").to_ndarray()
    height, width = frame.height, frame.width
    chroma = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0).reshape(height // 2, width)
    return np.ascontiguousarray(np.concatenate([planes[:height], chroma]) << (16 - bits if bits > 8 else 0))


SETTINGS = {"codec", "gpu_id", "fps", "preset", "tuning_info", "rc", "cq", "bf", "gop"}


def CreateEncoder(width: int, height: int, fmt: str, usecpuinputbuffer: bool, **settings: Any) -> PyNvEncoder:  # noqa: N802
    _called("CreateEncoder")
    assert (fmt, usecpuinputbuffer) == ("NV12", False)
    context, stream = settings.pop("cudacontext"), settings.pop("cudastream")
    assert settings.keys() == SETTINGS
    assert settings["bf"] == "0"
    session = _Session("encoder", settings["gpu_id"], context, stream)
    return PyNvEncoder(width, height, settings, session)


class PyNvEncoder:
    DELAY = 3
    """Pictures that are held back."""

    def __init__(self, width: int, height: int, settings: dict[str, Any], session: _Session) -> None:
        self._session = session
        self._size = width, height
        self._context = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[settings["codec"]], "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, "yuv420p"
        self._context.time_base, self._context.framerate = Fraction(1, 1000), Fraction(settings["fps"])
        self._context.options = {"bf": "0", "crf": "1", "preset": "ultrafast", "tune": "zerolatency"}
        self._context.flags |= Flags.global_header
        self._context.open()
        self._held: list[dict[str, Any]] = []
        self._count = 0

    def GetSequenceParams(self) -> bytes:  # noqa: N802
        return bytes(self._context.extradata or b"")

    def Encode(self, frame: Any) -> list[dict[str, Any]]:  # noqa: N802
        _called("Encode")
        width, height = self._size
        luma, chroma = (view.__cuda_array_interface__ for view in frame.cuda())
        assert (luma["shape"], luma["strides"]) == ((height, width, 1), (width, 1, 1))
        assert (chroma["shape"], chroma["strides"]) == ((height // 2, width // 2, 2), (width, 2, 1))
        assert luma["typestr"] == chroma["typestr"] == "|u1"
        planes = np.full((height * 3 // 2, width), FRESH, np.uint8)
        self._session.move(luma["data"][0], planes.ctypes.data, height * width)
        self._session.move(chroma["data"][0], planes[height:].ctypes.data, height * width // 2)
        self._session.synchronize()
        picture = av.VideoFrame.from_ndarray(planes, format="nv12").reformat(format="yuv420p")
        picture.pts, picture.time_base = self._count, Fraction(1, 1000)
        self._count += 1
        self._held += self._packets(picture)
        ready, self._held = self._held[: -self.DELAY], self._held[-self.DELAY :]
        return ready

    def EndEncode(self) -> list[dict[str, Any]]:  # noqa: N802
        _called("EndEncode")
        return [*self._held, *self._packets(None)]

    def _packets(self, picture: av.VideoFrame | None) -> Iterator[dict[str, Any]]:
        for packet in self._context.encode(picture):
            first = self.GetSequenceParams() if packet.is_keyframe else b""
            kind = 3 if packet.is_keyframe else 0
            yield {"data": first + bytes(packet), "timestamp": packet.pts, "picture_type": kind}

    def __del__(self) -> None:
        self._session.close()
