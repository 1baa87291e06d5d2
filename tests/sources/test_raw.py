from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from rtparse.sources.raw import RawFormat, RawSource

# case: bytes of one pixel as they come, and the same as BGR
PIXELS = {
    "bgr24": ([1, 2, 3], [1, 2, 3]),
    "rgb24": ([1, 2, 3], [3, 2, 1]),
    "gray": ([7], [7, 7, 7]),
}


@pytest.mark.parametrize("pixels", PIXELS)
def test_frames_of_a_pipe(pixels: str) -> None:
    given, expected = PIXELS[pixels]
    read, write = os.pipe()
    picture = bytes(given) * (64 * 48)
    writer = threading.Thread(target=lambda: (os.write(write, picture * 3 + picture[:100]), os.close(write)))
    writer.start()
    with os.fdopen(read, "rb") as pipe, RawSource(pipe, RawFormat.of(f"64x48:{pixels}")) as source:
        frames = list(source)
    writer.join()
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert all((frame.image == expected).all() and frame.size_hw == (48, 64) for frame in frames)
    assert source.damage == (f"the last frame is short: 100 of {len(picture)} bytes",)


def test_closing_ends_a_pipe_that_says_nothing() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        source = RawSource(pipe, RawFormat.of("64x48:gray"))
        reader = threading.Thread(target=lambda: list(source))
        reader.start()
        time.sleep(0.05)
        source.close()
        reader.join(1)
        assert not reader.is_alive()


def test_standard_input_is_read_to_its_end() -> None:
    program = (
        "from rtparse.sources.live_open import open_live; from rtparse.sources.live import LiveOptions\n"
        "source = open_live('stdin:32x16:gray', LiveOptions(keep_all=True))\n"
        "print([int(f.image[0, 0, 0]) for f in source], source.damage)"
    )
    data = np.repeat(np.arange(20, dtype=np.uint8), 32 * 16).tobytes() + b"short"
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, timeout=30, check=True)
    assert done.stdout.decode().strip() == f"{list(range(20))} ('the last frame is short: 5 of 512 bytes',)"
