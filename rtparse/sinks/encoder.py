"""BGR pictures to the packets of a video stream."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import cast

import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtparse._cv import cv2

# Code points of ITU-T H.273, for the matrix, the primaries and the transfer function alike.
_BT709_TAG = 1
_BT601_TAG = 6
_MOST_THREADS = 4


class PictureEncoder:
    """Adds a video stream to `output` and encodes pictures into it.

    codec, options: of FFmpeg. size_wh: of the stream, rounded up to even numbers, which 4:2:0 needs. tick: seconds of a
    unit of time. pix_fmt: FFmpeg's name; one with alpha takes BGRA pictures, straight alpha. Colours are limited range,
    BT.709 for pictures of 1280 columns or more or over 576 rows and BT.601 below, which is what players assume who
    ignore the tags.
    """

    def __init__(
        self,
        output: OutputContainer,
        codec: str,
        options: dict[str, str],
        size_wh: tuple[int, int],
        fps: Fraction,
        tick: Fraction,
        pix_fmt: str = "yuv420p",
    ) -> None:
        self._output = output
        self._size_wh = size_wh
        width, height = (side + side % 2 for side in size_wh)
        self._high_definition = width >= 1280 or height > 576
        stream = output.add_stream(codec, rate=fps, options=options, width=width, height=height, time_base=tick)
        self._stream = cast(VideoStream, stream)
        self._pix_fmt = pix_fmt
        _set_up(self._stream.codec_context, pix_fmt, self._high_definition)
        self._tick = tick
        self._scaler = VideoReformatter()
        self._pending: VideoFrame | None = None

    def write(self, picture: NDArray[np.uint8], ticks: int) -> None:
        """Show `picture`, (H, W, 3) uint8 BGR, or (H, W, 4) BGRA, from this time on. One of another size is letterboxed
        to the stream's.

        ticks: must grow from call to call. The picture is not kept.
        """
        fitted = _padded_to_even(_letterboxed(picture, self._size_wh))
        frame = self._scaler.reformat(
            VideoFrame.from_numpy_buffer(fitted, format="bgra" if fitted.shape[2] == 4 else "bgr24"),
            format=self._pix_fmt,
            dst_colorspace=Colorspace.ITU709 if self._high_definition else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,  # the default darkens by some levels
        )
        frame.pts = ticks
        frame.time_base = self._tick
        self._encode_pending(until=ticks)
        self._pending = frame

    def finish(self, until: int) -> None:
        """Show the last picture until this time, and write what the encoder holds back."""
        self._encode_pending(until)
        self._output.mux(self._stream.encode(None))

    def _encode_pending(self, until: int) -> None:
        # One picture waits here, because how long it shows is known only when the next one comes.
        if self._pending is not None and self._pending.pts is not None:
            self._pending.duration = until - self._pending.pts
            self._output.mux(self._stream.encode(self._pending))
            self._pending = None


def _set_up(context: VideoCodecContext, pix_fmt: str, high_definition: bool) -> None:
    context.pix_fmt = pix_fmt
    context.color_range = ColorRange.MPEG
    context.colorspace = _BT709_TAG if high_definition else _BT601_TAG
    context.color_primaries = context.color_trc = _BT709_TAG
    context.flags |= Flags.frame_duration  # or every picture would show for 1 / fps
    # PyAV's default cuts each picture into slices, a thread apiece, which costs compression.
    context.thread_type = "FRAME"
    context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)


def _letterboxed(picture: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if (width, height) == size_wh:
        return picture
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size_wh[0] - inner[0]) // 2, (size_wh[1] - inner[1]) // 2
    right, bottom = size_wh[0] - inner[0] - left, size_wh[1] - inner[1] - top
    return np.asarray(cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT), dtype=np.uint8)


def _padded_to_even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(picture)
    padded = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, dtype=np.uint8)
