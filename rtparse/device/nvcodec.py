"""NVIDIA's video decoder and encoder, NVDEC and NVENC, through PyNvVideoCodec, and its failures in our words."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rtparse.errors import DeviceError, MissingDependencyError, RtparseError

PACKAGE = "PyNvVideoCodec"

CODECS = {"h264": "H264", "hevc": "HEVC", "vp9": "VP9", "av1": "AV1"}
"""What is decoded by NVDEC: FFmpeg's names of codecs, and PyNvVideoCodec's."""


@cache
def nvcodec() -> Any:
    """The module. Raises MissingDependencyError where it is not installed, DeviceError where it cannot be loaded: it
    wants NVIDIA's driver, with its libraries for video."""
    log = logging.getLogger(PACKAGE)
    log.disabled = True  # it logs what it raises
    try:
        return importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or PACKAGE, "nvcodec") from error
    except Exception as error:  # whatever its own loader raises
        raise DeviceError(
            f"{PACKAGE} cannot be loaded ({_first_line(error)})",
            "update the NVIDIA driver; in a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
        ) from error
    finally:
        log.disabled = False


@contextmanager
def nvcodec_errors(what: str, hint: str = "") -> Iterator[None]:
    """What PyNvVideoCodec raises becomes DeviceError. what: "NVDEC cannot decode in.mp4"."""
    try:
        yield
    except RtparseError:
        raise
    except Exception as error:  # its own kinds are no RuntimeError
        raise DeviceError(f"{what} ({_first_line(error)})", hint) from error


@cache
def decodes(gpu: int, codec: str, bits: int, width: int, height: int) -> str:
    """Why NVDEC of that GPU does not take 4:2:0 pictures of such a stream, "" where it does. codec: FFmpeg's name.

    Raises MissingDependencyError, DeviceError.
    """
    nvc = nvcodec()
    if codec not in CODECS:
        return f"NVDEC does not decode {codec}"
    with nvcodec_errors("NVDEC cannot be asked"):
        caps = nvc.GetDecoderCaps(
            gpuid=gpu,
            codec=getattr(nvc.cudaVideoCodec, CODECS[codec]),
            chromaformat=getattr(nvc.cudaVideoChromaFormat, "420"),
            bitdepth=bits,
        )
    if not caps.get("supported", caps.get("num_decoder_engines")):
        return f"NVDEC of this GPU does not decode {codec} of {bits} bits"
    least, most = (caps["width_min"], caps["height_min"]), (caps["width_max"], caps["height_max"])
    if not (least[0] <= width <= most[0] and least[1] <= height <= most[1]):
        return f"NVDEC of this GPU decodes {codec} from {least[0]}x{least[1]} to {most[0]}x{most[1]}"
    return ""


@cache
def encodes(gpu: int, codec: str, width: int, height: int) -> str:
    """Why NVENC of that GPU does not encode 4:2:0 pictures of that size, "" where it does. codec: "h264" or "hevc".

    Raises MissingDependencyError, DeviceError.
    """
    nvc = nvcodec()
    with nvcodec_errors("this GPU has no NVENC"):
        caps = nvc.GetEncoderCaps(gpuid=gpu, codec=codec)
    if not caps.get("num_encoder_engines", 1):
        return "this GPU has no NVENC"
    least, most = (caps.get("width_min", 0), caps.get("height_min", 0)), (caps["width_max"], caps["height_max"])
    if not (least[0] <= width <= most[0] and least[1] <= height <= most[1]):
        return f"NVENC of this GPU encodes {codec} from {least[0]}x{least[1]} to {most[0]}x{most[1]}"
    return ""


def unavailable(part: str) -> str:
    """Why "NVDEC" or "NVENC" of the first GPU cannot be used for H.264, "" where it can."""
    try:
        return decodes(0, "h264", 8, 1920, 1080) if part == "NVDEC" else encodes(0, "h264", 1920, 1080)
    except RtparseError as error:
        return str(error)


def _first_line(error: BaseException) -> str:
    """Its own lines begin with where and end with what: "Error Type : ..."."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Error Type")), lines[0])
