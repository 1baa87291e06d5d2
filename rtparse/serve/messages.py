"""The binary messages of live views.

From the server: u32 length of a JSON header (little-endian), the header, the labels, the picture (if any).

    {"pts": seconds, "index": n, "width": W, "height": H, "labels": bytes, "picture": bytes, "latency": seconds,
     "dropped": frames}

Labels are W*H bytes of class ids, row by row, deflated (RFC 1950); the picture is a JPEG. From a visitor's camera: f64
pts in seconds (little-endian), which the answer repeats, then an image file. To the viewer of a source, each message
must be acknowledged by the text "next".
"""

from __future__ import annotations

import json
import math
import struct
import time
import zlib

import numpy as np

from rtparse._cv import cv2
from rtparse.parsing import Parsing

VIEW_SIDE = 960
"""The longer side, in pixels, to which the server's pictures are scaled down: more would cost the network, not help."""

_JPEG_QUALITY = 80
_PTS = struct.Struct("<d")


def encode(parsing: Parsing, *, picture: bool, dropped: int = 0) -> bytes:
    """A parsing as a message. picture: with the frame, scaled down; otherwise the labels alone, of the frame's size."""
    labels, jpeg = parsing.labels, b""
    if picture:
        height, width = labels.shape
        scale = min(1.0, VIEW_SIDE / max(width, height))
        image = parsing.frame.image
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1].tobytes()
    deflated = zlib.compress(labels.tobytes(), 1)
    arrived = parsing.frame.arrived
    header = json.dumps(
        {
            "pts": parsing.frame.pts,
            "index": parsing.frame.index,
            "width": labels.shape[1],
            "height": labels.shape[0],
            "labels": len(deflated),
            "picture": len(jpeg),
            "latency": None if arrived is None else time.monotonic() - arrived,
            "dropped": dropped,
        }
    ).encode()
    return struct.pack("<I", len(header)) + header + deflated + jpeg


def decode_camera(message: bytes) -> tuple[float, bytes]:
    """A visitor's message: pts in seconds, and an image file. Raises ValueError for another form."""
    if len(message) <= _PTS.size:
        raise ValueError(f"got {len(message)} bytes, expected a time and an image")
    pts: float = _PTS.unpack_from(message)[0]
    if not math.isfinite(pts):
        raise ValueError(f"got the time {pts}, expected seconds")
    return pts, message[_PTS.size :]
