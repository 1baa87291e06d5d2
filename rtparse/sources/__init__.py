"""Where frames come from. `open_source` finds the right one; base.py is the contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from rtparse.errors import UsageError
from rtparse.frame import Frame
from rtparse.sources.arrays import ArraySource
from rtparse.sources.base import Source
from rtparse.sources.convert import is_pil_image

__all__ = ["Source", "open_source", "open_sources"]


def open_source(spec: object, *, color: str = "bgr", video: Callable[[Path], Source] | None = None) -> Source:
    """Open whatever holds frames; the caller closes the source (or uses it in a `with`).

    spec: the path (str or Path) of a video file, an image file or a folder of images; a URL (http, https, rtsp, ...);
        a camera's number (an int, or a str of digits); a single array, PIL image or Frame, or any iterable of them.
    color: "bgr" or "rgb", the channel order of arrays; files, cameras and PIL images know their own.
    video: opens video files; None decodes them on the CPU.

    Raises UsageError for a path that does not exist, a folder without images or a spec of another kind; SourceError for
    what exists and cannot be read.
    """
    if isinstance(spec, int) and not isinstance(spec, bool) and spec >= 0:
        return _camera(spec)
    if isinstance(spec, str):
        if re.fullmatch(r"[0-9]+", spec):
            return _camera(int(spec))
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec):
            from rtparse.sources.video import VideoSource

            return VideoSource(spec)
        return _file(Path(spec), video)
    if isinstance(spec, Path):
        return _file(spec, video)
    if isinstance(spec, Frame) or is_pil_image(spec) or (isinstance(spec, np.ndarray) and spec.ndim != 4):
        return ArraySource([spec], color=color)
    if isinstance(spec, Iterable):
        return ArraySource(spec, color=color)
    raise UsageError(
        f"cannot read frames from {spec!r}",
        "expected a path, a URL, a camera's number, an image, or an iterable of images",
    )


def open_sources(
    spec: object, open_one: Callable[[object, int], Source] = lambda spec, number: open_source(spec)
) -> list[Source]:
    """Open one source, or several that are given as a list or tuple, by `open_one`, which is told the number of each;
    the caller closes them.

    A list or tuple of pictures (arrays, PIL images, Frames) is one source, as it is for `open_source`, and so is an
    empty one. Any other is several sources: each item is what `open_source` takes, or a source that is open already.
    Raises as `open_source` does, with those closed that are open by then; UsageError for pictures among sources.
    """
    if not isinstance(spec, list | tuple) or not spec or all(map(_is_picture, spec)):
        specs: Iterable[object] = [spec]
    elif any(map(_is_picture, spec)):
        raise UsageError("got pictures and sources in one list", "put the pictures into a list of their own inside it")
    else:
        specs = spec
    with ExitStack() as opened:
        sources = [
            opened.enter_context(each if isinstance(each, Source) else open_one(each, number))
            for number, each in enumerate(specs)
        ]
        opened.pop_all()
    return sources


def _is_picture(item: object) -> bool:
    return isinstance(item, Frame | np.ndarray) or is_pil_image(item)


def _file(path: Path, video: Callable[[Path], Source] | None) -> Source:
    from rtparse.sources.images import IMAGE_SUFFIXES, ImageSource
    from rtparse.sources.video import VideoSource

    if not path.exists():
        raise UsageError(f"there is no file or folder {path}", "check the path")
    if path.is_dir():
        return ImageSource.of_folder(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource((path,))
    return (video or VideoSource)(path)


def _camera(index: int) -> Source:
    from rtparse.sources.camera import CameraSource

    return CameraSource(index)
