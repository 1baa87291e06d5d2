"""The view of every parsing as a stream over the network: pushed to an RTSP or RTMP server, or sent by UDP."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from urllib.parse import urlsplit

import av
import numpy as np
from numpy.typing import NDArray

from rtparse.errors import SinkError, UsageError
from rtparse.parsing import Parsing
from rtparse.sinks.live_video import LiveVideo

_RTSP = ("rtsp", {"rtsp_transport": "tcp"})
_RTMP = ("flv", {"flvflags": "no_duration_filesize"})
_WHOLE_PACKETS = "pkt_size=1316"
"""As many MPEG-TS packets as an Ethernet frame holds."""
NETWORK_FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    "rtmp": _RTMP,
    "rtmps": _RTMP,
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "udp": ("mpegts", {"pat_period": "0.1", "flush_packets": "1"}),  # tables every 0.1 s, for viewers who join
}
"""By scheme of the URL: FFmpeg's muxer and its options."""


def check_network_url(url: str) -> None:
    """Raise UsageError for a URL that `NetworkSink` cannot send to."""
    try:
        parts = urlsplit(url)
        meant = parts.scheme.lower() in NETWORK_FORMATS and parts.hostname is not None
    except ValueError:
        meant = False
    if not meant:
        raise UsageError(
            f"a stream cannot be sent to {public_part(url)}",
            f"expected a URL of {', '.join(f'{s}://' for s in NETWORK_FORMATS)}",
        )


class NetworkSink:
    """Sends what `view` draws, (H, W, 3) uint8 BGR, as H.264 without B-frames, each picture as it comes.

    url: rtsp:// (published by TCP) or rtmp:// on a server that takes it in, or udp://HOST:PORT (MPEG-TS). The
        connection is made with the first picture, whose size the stream has; others are letterboxed to it.

    Raises UsageError for another URL. `write` raises SinkError where nobody answers and when the connection breaks, and
    may block as long as the network does.
    """

    def __init__(self, url: str, view: Callable[[Parsing], NDArray[np.uint8]], fps: Fraction | None = None) -> None:
        check_network_url(url)
        self._url = url
        self._view = view
        self._fps = fps
        self._video: LiveVideo | None = None

    def write(self, parsing: Parsing) -> None:
        picture = self._view(parsing)
        try:
            self._video = self._video or self._open(picture)
            self._video.write(picture, parsing.frame.pts)
        except (av.error.FFmpegError, OSError) as error:
            raise SinkError(
                f"the stream to {public_part(self._url)} broke off ({error.strerror or type(error).__name__})",
                "check that the server there is up and takes streams in",
            ) from None

    def finish(self) -> None:
        self.abort()  # what the server says to a goodbye changes nothing

    def abort(self) -> None:
        if self._video is not None:
            self._video.abort()
            self._video = None

    def _open(self, picture: NDArray[np.uint8]) -> LiveVideo:
        container, options = NETWORK_FORMATS[urlsplit(self._url).scheme.lower()]
        height, width = picture.shape[:2]
        url = self._url
        if container == "mpegts" and "pkt_size=" not in url:
            url += f"{'&' if '?' in url else '?'}{_WHOLE_PACKETS}"
        return LiveVideo(url, container, options, (width, height), self._fps)


def public_part(url: str) -> str:
    """Scheme, host and port of a URL: what messages may show, since the rest may hold a password or a stream key."""
    return re.sub(r"^([^:/?#]+://)(?:[^/?#]*@)?([^/?#]*).*", r"\1\2", url)
