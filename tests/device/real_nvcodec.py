"""The real PyNvVideoCodec over stand-ins for NVIDIA's libraries, libnvcuvid and libnvidia-encode, behind which FFmpeg
decodes and encodes on the host: RTPARSE_NVCODEC names the folder of the package. Wants the headers of nv-codec-headers
(libffmpeg-nvenc-dev).
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from build_pycuda import CannotBuildError, cuda_headers
from standin_nvcodec import surface_of

SOURCES = Path(__file__).with_name("standin_video")
NAMES = {"nvcuvid": "libnvcuvid.so.1", "nvenc": "libnvidia-encode.so.1"}
DECODERS = {4: "h264", 8: "hevc", 10: "vp9"}

_decoders: dict[int, av.VideoCodecContext] = {}
_encoders: dict[int, av.VideoCodecContext] = {}
_kept: list[object] = []


@functools.cache
def install() -> None:
    """Let `import PyNvVideoCodec` find it all. Raises CannotBuildError."""
    folder = Path(os.environ["RTPARSE_STANDIN"])
    for name, library in NAMES.items():
        headers = ["-isystem", str(cuda_headers())]
        flags = ["-std=c++17", "-O2", "-shared", "-fPIC", f"-Wl,-soname,{library}", f"-L{folder}", "-l:libcuda.so.1"]
        command = ["g++", *headers, str(SOURCES / f"{name}.cpp"), *flags, "-o", str(folder / library)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            raise CannotBuildError(built.stderr.strip().splitlines()[0])
    decoding, encoding = (ctypes.CDLL(library) for library in NAMES.values())
    pointer, size, time = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_longlong
    decode = ctypes.CFUNCTYPE(None, pointer, ctypes.c_int, pointer, size, time)(functools.partial(_decode, decoding))
    number = ctypes.c_int
    encode = ctypes.CFUNCTYPE(
        number, pointer, number, pointer, number, number, number, pointer, number, ctypes.POINTER(number)
    )(_encode)
    decoding.standin_decoded.argtypes = [pointer, pointer, number, number, number, time]
    decoding.standin_decode_by(decode)
    encoding.standin_encode_by(encode)
    _kept.extend((decode, encode, decoding, encoding))
    sys.path.insert(0, os.environ["RTPARSE_NVCODEC"])


def living() -> int:
    """Sessions and what they hold."""
    return int(ctypes.CDLL(NAMES["nvcuvid"]).standin_living_decoders()) + int(
        ctypes.CDLL(NAMES["nvenc"]).standin_living_encoders()
    )


def _decode(library: ctypes.CDLL, parser: int, codec: int, data: int, size: int, pts: int) -> None:
    context = _decoders.setdefault(parser, av.CodecContext.create(DECODERS[codec], "r"))
    packet = None
    if size:
        packet = av.Packet(ctypes.string_at(data, size))
        packet.pts, packet.time_base = pts, Fraction(1, 1000)
    for frame in context.decode(packet):
        planes = surface_of(frame)
        bits = frame.format.components[0].bits
        library.standin_decoded(parser, planes.ctypes.data, frame.width, frame.height, bits, frame.pts)
    if packet is None:
        del _decoders[parser]


def _encode(
    session: int, hevc: int, picture: int, pitch: int, width: int, height: int, packet: int, room: int, key: object
) -> int:
    if not picture:  # the parameter sets: it begins
        context = av.CodecContext.create("libx265" if hevc else "libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, 1000)
        context.options = {"bf": "0", "crf": "1", "preset": "ultrafast", "tune": "zerolatency"}
        if hevc:
            context.options |= {"x265-params": "info=0:log-level=none"}  # no text among the parameter sets
        context.flags |= Flags.global_header
        context.open()
        _encoders[session] = context
        return _put(bytes(context.extradata or b""), packet, room)
    context = _encoders[session]
    rows = np.frombuffer(ctypes.string_at(picture, pitch * height * 3 // 2), np.uint8).reshape(-1, pitch)[:, :width]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rows), format="nv12").reformat(format="yuv420p")
    (coded,) = context.encode(frame)
    key[0] = int(coded.is_keyframe)  # type: ignore[index]
    return _put((bytes(context.extradata or b"") if coded.is_keyframe else b"") + bytes(coded), packet, room)


def _put(data: bytes, packet: int, room: int) -> int:
    assert len(data) <= room
    ctypes.memmove(packet, data, len(data))
    return len(data)
