"""BGR pictures to the packets of a video stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import SinkError
from rtparse.sinks.partial import write_errors

# Code points of ITU-T H.273, for the matrix, the primaries and the transfer function alike.
_BT709_TAG = 1
_BT601_TAG = 6
_MOST_THREADS = 4
LIVE_H264 = {"preset": "veryfast", "tune": "zerolatency", "bf": "0", "forced-idr": "1", "crf": "23"}
"""What `live` needs of libx264: each picture's packet comes out at once."""
_KEY_SECONDS = 2


class PictureEncoder:
    """Adds a video stream to `output` and encodes pictures into it.

    codec, options: of FFmpeg. size_wh: of the stream, rounded up to even numbers, which 4:2:0 needs. tick: seconds of a
    unit of time. pix_fmt: FFmpeg's name; one with alpha takes BGRA pictures, straight alpha. Colours are limited range,
    BT.709 for pictures of 1280 columns or more or over 576 rows and BT.601 below, which is what players assume who
    ignore the tags.

    live: no picture waits for the one after it. It is encoded when it comes, as if it showed for 1 / fps, and one every
        two seconds can be joined at. For codecs that hold nothing back, see LIVE_H264.
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
        *,
        live: bool = False,
    ) -> None:
        self._output = output
        self._size_wh = size_wh
        width, height = (side + side % 2 for side in size_wh)
        self._high_definition = is_high_definition((width, height))
        stream = output.add_stream(codec, rate=fps, options=options, width=width, height=height, time_base=tick)
        self._stream = cast(VideoStream, stream)
        self._pix_fmt = pix_fmt
        _set_up(self._stream.codec_context, pix_fmt, self._high_definition)
        if live:
            self._stream.codec_context.thread_type = "SLICE"  # a thread for each picture holds back as many
        self._tick = tick
        self._live = live
        self._gap = max(1, round(1 / fps / tick))
        self._next_key = 0
        self._scaler = VideoReformatter()
        self._pending: VideoFrame | None = None

    def write(self, picture: NDArray[np.uint8], ticks: int) -> None:
        """Show `picture`, (H, W, 3) uint8 BGR, or (H, W, 4) BGRA, from this time on. One of another size is letterboxed
        to the stream's.

        ticks: must grow from call to call. The picture is not kept.
        """
        fitted = _padded_to_even(letterboxed(picture, self._size_wh))
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
        if self._live:
            if ticks >= self._next_key:
                frame.pict_type = PictureType.I
                self._next_key = ticks + round(_KEY_SECONDS / self._tick)
            self._encode_pending(until=ticks + self._gap)

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


def is_high_definition(size_wh: tuple[int, int]) -> bool:
    """Whether players take untagged pictures of that size as BT.709, rather than as BT.601."""
    return size_wh[0] >= 1280 or size_wh[1] > 576


def letterboxed(picture: NDArray[np.uint8], size_wh: tuple[int, int], *, nearest: bool = False) -> NDArray[np.uint8]:
    """The picture, (H, W) or (H, W, C), scaled into the middle of one of this size, zeros around it; itself where it
    has the size.

    nearest: pixels are repeated or left away and never mixed, as class ids need it.
    """
    height, width = picture.shape[:2]
    if (width, height) == size_wh:
        return picture
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_NEAREST if nearest else smooth)
    left, top = (size_wh[0] - inner[0]) // 2, (size_wh[1] - inner[1]) // 2
    right, bottom = size_wh[0] - inner[0] - left, size_wh[1] - inner[1] - top
    return np.asarray(cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT), dtype=np.uint8)


def _padded_to_even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(picture)
    padded = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, dtype=np.uint8)


@contextmanager
def video_errors(path: Path) -> Iterator[None]:
    """Errors of FFmpeg and of the operating system while writing the video `path` become SinkError."""
    try:
        with write_errors(path):
            yield
    except av.error.FFmpegError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror})") from None
