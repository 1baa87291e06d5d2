"""The process that decodes what visitors send: `python -m rtparse.serve.decoder images|video ...`.

Decoders are large programs in C that are fed by strangers. Here one may crash, hang or eat memory, and takes only this
process with it: its memory is limited by the operating system, and `rtparse.serve.sandbox`, which starts it, kills it
when it takes too long. It ends when its standard input does.

    images PIXELS           _NEWS (it is ready), then many requests: u32 length, bytes
                            -> _PICTURE, height, width, pixels; or _NEWS, length, JSON
    video FILE SOUND PIXELS one file: _NEWS (what is known of it), pictures in order, _NEWS (the end)

Numbers are little-endian, pixels (H, W, 3) uint8 BGR. News is JSON: {"refused": [code, got, expected]} where the input
is not taken.
"""

from __future__ import annotations

import io
import json
import os
import select
import struct
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

HEAD = struct.Struct("<BIId")
"""What a message begins with: its kind, the height or the length in bytes, the width, the time in seconds."""
PICTURE, NEWS = 1, 2

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF")
"""As Pillow names them. Its decoders of rarer formats are not reachable."""

VIDEO_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""FFmpeg's containers that hold their pictures themselves. Playlists and scripts, which name other files, are none."""

MEMORY = 3 * 2**30
"""Bytes of address space for one process."""


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """The input is not taken: a code, what was got, what was expected."""


def decode_image(data: bytes, pixels: int) -> NDArray[np.uint8]:
    """An image file in memory as (H, W, 3) uint8 BGR, upright. Raises Refused.

    pixels: the most that are taken; a larger image is refused by its header alone.
    """
    from PIL import Image

    from rtparse.errors import UsageError
    from rtparse.sources.convert import to_bgr8

    kinds = f"a whole {', '.join(IMAGE_FORMATS[:-1])} or {IMAGE_FORMATS[-1]} file"
    Image.MAX_IMAGE_PIXELS = None  # ours is exact, and answers in words
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
        width, height = image.size
        if width * height > pixels:
            raise Refused("pixels", f"an image of {width}x{height}", f"at most {pixels} pixels")
        image.load()
        return to_bgr8(image)
    except Refused:
        raise
    except MemoryError:
        raise Refused("memory", f"an image of {width}x{height} that needs too much memory", kinds) from None
    except UsageError as error:
        raise Refused("image", error.message, kinds) from None
    except Exception as error:  # Pillow's plugins raise whatever the broken file makes them stumble over
        raise Refused("image", f"{len(data)} bytes that cannot be decoded ({type(error).__name__})", kinds) from None


def serve_images(requests: BinaryIO, answers: BinaryIO, pixels: int) -> None:
    from PIL import Image

    from rtparse.sources import convert  # noqa: F401 - imported now, so that no image waits for it

    Image.init()
    _news(answers, {"ready": True})
    while len(head := requests.read(4)) == 4:
        data = requests.read(struct.unpack("<I", head)[0])
        try:
            image = decode_image(data, pixels)
        except Refused as refused:
            _news(answers, {"refused": refused.args})
        else:
            _picture(answers, image, 0.0)


def read_video(path: Path, sound: Path, answers: BinaryIO, pixels: int) -> None:
    """Send the pictures of a video; its sound, encoded anew, is in the file `sound` before the first of them."""
    from rtparse.errors import RtparseError
    from rtparse.sources.video import VideoSource

    try:
        _check_container(path, pixels)
        with VideoSource(path) as source:
            info = source.info
            audio = info.audio and _encode_sound(path, sound)
            told = asdict(info) | {"name": "upload", "audio": audio}
            _news(answers, {key: str(value) if isinstance(value, Fraction) else value for key, value in told.items()})
            for frame in source:
                height, width = frame.size_hw
                if height * width > pixels:
                    raise Refused("pixels", f"a frame of {width}x{height}", f"at most {pixels} pixels")
                _picture(answers, frame.image, frame.pts)
            _news(answers, {"damage": source.damage})
    except Refused as refused:
        _news(answers, {"refused": refused.args})
    except MemoryError:
        _news(answers, {"refused": ("memory", "a video that needs too much memory", f"frames of {pixels} pixels")})
    except RtparseError as error:
        message = error.message.replace(str(path), "the video")
        _news(answers, {"refused": ("video", message, error.hint or "a whole video file")})


def _check_container(path: Path, pixels: int) -> None:
    import av

    expected = "a whole MP4, MOV, MKV, WebM, AVI, MPEG or GIF file"
    try:
        options = {"format_whitelist": VIDEO_FORMATS, "protocol_whitelist": "file"}
        with av.open(str(path), "r", options=options, metadata_errors="ignore") as container:
            sizes = [
                (stream.width * float(max(1, stream.sample_aspect_ratio or 1)), stream.height)
                for stream in container.streams.video
                if stream.codec_context is not None
            ]
    except (av.error.FFmpegError, ValueError):
        raise Refused("container", "a file that is no container of video", expected) from None
    for width, height in sizes:
        if width * height > pixels:
            raise Refused("pixels", f"a video of {width:.0f}x{height}", f"at most {pixels} pixels a frame")


def _encode_sound(path: Path, sound: Path) -> bool:
    """Whether there is sound that can be heard; it is in the file then."""
    import av

    from rtparse.errors import RtparseError
    from rtparse.sinks.audio import AudioTrack

    try:
        with av.open(str(sound), "w", format="matroska") as output:
            track = AudioTrack(str(path), output, frozenset(), "aac")
            track.write_until(None)
            track.finish()
            track.close()
    except (av.error.FFmpegError, RtparseError, ValueError):
        return False
    return sound.exists()  # the header of a track without a packet is never written


def _picture(answers: BinaryIO, image: NDArray[np.uint8], pts: float) -> None:
    answers.write(HEAD.pack(PICTURE, image.shape[0], image.shape[1], pts))
    answers.write(np.ascontiguousarray(image).data)
    answers.flush()


def _news(answers: BinaryIO, news: dict[str, Any]) -> None:
    data = json.dumps(news).encode()
    answers.write(HEAD.pack(NEWS, len(data), 0, 0.0) + data)
    answers.flush()


def _confine() -> None:
    """Take from this process what it does not need. Where the operating system has no such limits, time is the only."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_input() -> None:
    """Also in the middle of a file that never ends: whoever would kill this process is gone."""
    if hasattr(select, "poll"):
        waiting = select.poll()
        waiting.register(0, 0)  # which asks for nothing but its end
        waiting.poll()
        os._exit(1)


def main(arguments: list[str]) -> None:
    _confine()
    Thread(target=_end_with_input, daemon=True).start()
    # Libraries that print would print between the messages: they get another standard output.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if arguments[0] == "images":
        serve_images(sys.stdin.buffer, answers, int(arguments[1]))
    else:
        read_video(Path(arguments[1]), Path(arguments[2]), answers, int(arguments[3]))


if __name__ == "__main__":
    main(sys.argv[1:])
