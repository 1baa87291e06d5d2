"""What a visitor may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of what is taken from visitors; what lies beyond is refused with a status that says so.

    image_bytes, video_bytes: of one upload. pixels: of one picture, or of one frame of a video, before it is decoded.
    upload_seconds: for one upload to arrive. decode_seconds: for one image, or one frame of a video, to be decoded.
    video_seconds: of computing for one video. videos: that wait or run. results: finished ones that are kept, lifetime:
    for how many seconds. requests: images that are parsed at once, twice as many wait. clients: live views at
    once, of cameras and sources. live_bytes, live_pixels, live_seconds: of one frame of a visitor's camera.
    """

    image_bytes: int = 32 * MIB
    video_bytes: int = 512 * MIB
    pixels: int = 50_000_000
    upload_seconds: float = 300.0
    decode_seconds: float = 10.0
    video_seconds: float = 3600.0
    videos: int = 8
    results: int = 32
    lifetime: float = 3600.0
    requests: int = 4
    clients: int = 16
    live_bytes: int = 4 * MIB
    live_pixels: int = 2_100_000
    live_seconds: float = 5.0
