"""--encode: which sink writes a video."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rtparse.errors import RtparseError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rtparse.parsing import Parsing
    from rtparse.sinks import Sink
    from rtparse.sources import Source

_log = logging.getLogger("rtparse")


def check(path: Path, encode: str, *, alpha: bool) -> None:
    """Raise UsageError where NVENC was asked for and cannot write such a file, and its errors where it is not there."""
    if encode != "nvenc":
        return
    if alpha:
        raise UsageError(f"NVENC cannot encode alpha, which {path} has", "leave --encode nvenc away")
    from rtparse.sinks.nvenc import check_nvenc

    check_nvenc(path)


def video_sink(
    path: Path,
    source: Source,
    view: Callable[[Parsing], NDArray[np.uint8]],
    sound: str | None,
    *,
    encode: str,
    gpu: int,
    alpha: bool,
) -> Sink:
    """The sink for what `view` draws.

    encode: "auto" takes NVENC for overlays of frames that NVDEC leaves on the GPU, where it writes such a file.
    """
    from rtparse.sinks import VideoSink, video_format

    if encode == "nvenc" or (encode == "auto" and not alpha and _stays_on_gpu(source, view)):
        from rtparse.sinks.nvenc import NvencSink

        try:
            if encode == "nvenc" or video_format(path).codec == "libx264":
                return NvencSink(path, source.info, view, sound, gpu=gpu)
        except RtparseError as error:
            if encode == "nvenc":
                raise
            _log.info("%s is encoded on the CPU: %s", path, error)
    return VideoSink(path, source.info, view, sound, alpha=alpha)


def _stays_on_gpu(source: Source, view: Callable[[Parsing], NDArray[np.uint8]]) -> bool:
    from rtparse.render import Renderer
    from rtparse.sources.nvdec import NvdecSource

    on_gpu = isinstance(source, NvdecSource) and source.on_gpu
    return on_gpu and isinstance(view, Renderer) and view.view == "overlay"
