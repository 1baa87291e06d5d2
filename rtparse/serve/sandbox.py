"""Decoding in processes of its own, so that a visitor's file can end one of them and nothing else. See decoder.py."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from queue import LifoQueue
from threading import Event, Lock, RLock, Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtparse.closing import Closing
from rtparse.errors import SourceError
from rtparse.frame import Frame
from rtparse.serve.decoder import HEAD, PICTURE
from rtparse.serve.limits import Limits
from rtparse.sources.base import Source, SourceInfo

_NEWS_BYTES = 2**20
"""More than any news has: a longer one is no news."""


Answer = tuple[NDArray[np.uint8], float] | dict[str, Any]
"""Of a process: a picture and its time, or news."""

START_SECONDS = 60.0
"""For a process to start on a busy machine."""


class DecodeError(SourceError):
    """What a visitor sent cannot be decoded, or may not be. `code` is a word for programs."""

    def __init__(self, code: str, got: str, expected: str) -> None:
        super().__init__(f"got {got}", f"expected {expected}")
        self.code = code
        self.got = got
        self.expected = expected


class ImageDecoder(Closing):
    """Turns image files into pictures, in `workers` processes that start when they are first needed. Thread-safe."""

    def __init__(self, pixels: int, seconds: float, workers: int = 2) -> None:
        """pixels, seconds: the most that one image may have and take."""
        self._pixels = pixels
        self._seconds = seconds
        self._idle: LifoQueue[_Decoder | None] = LifoQueue()
        self._running: set[_Decoder] = set()
        self._lock = Lock()
        self._closed = False
        for _ in range(workers):
            self._idle.put(None)

    def __call__(self, data: bytes | bytearray) -> NDArray[np.uint8]:
        """An image file as (H, W, 3) uint8 BGR, upright, a new array. Raises DecodeError. Blocks for a free worker."""
        worker = self._idle.get()
        try:
            if worker is None or worker.dead:
                worker = self._started()
            got = worker.ask(data, self._seconds)
            if isinstance(got, dict):
                raise DecodeError(*got["refused"])
            return got[0]
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the processes, with what they do: calls in progress raise DecodeError."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, set()
        for worker in running:
            worker.close()

    def _started(self) -> _Decoder:
        with self._lock:
            if self._closed:
                raise DecodeError("closed", "an image while the server stops", "another try")
            worker = _Decoder(self._pixels, "images")
            self._running = {each for each in self._running if not each.dead} | {worker}
        worker.receive(START_SECONDS)
        return worker


class UploadedVideo(Source):
    """The pictures of a visitor's video file, decoded elsewhere. `open` and iterating raise DecodeError.

    sound: where `open` puts the video's sound, encoded anew, if there is any (`info.audio`).
    """

    def __init__(self, path: Path, sound: Path, limits: Limits) -> None:
        self.info = SourceInfo("upload")
        self._limits = limits
        self._damage: tuple[str, ...] = ()
        self._closed = False
        self._decoder = _Decoder(limits.pixels, "video", str(path), str(sound))

    def open(self) -> None:
        """Read what the file says of itself into `info`, and its sound, which takes a while when it is long."""
        news = self._decoder.receive(self._limits.video_seconds)
        if not isinstance(news, dict):
            raise _crashed()
        if "refused" in news:
            raise DecodeError(*news["refused"])
        for key in ("fps", "time_base"):
            news[key] = None if news[key] is None else Fraction(news[key])
        self.info = SourceInfo(**news)

    @property
    def damage(self) -> tuple[str, ...]:
        return self._damage

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._decoder.dead:
            try:
                got = self._decoder.receive(self._limits.decode_seconds)
            except DecodeError:
                if self._closed:
                    return
                raise
            if isinstance(got, dict):
                self._decoder.close()
                if "refused" in got:
                    raise DecodeError(*got["refused"])
                self._damage = tuple(got["damage"])
                return
            image, pts = got
            yield Frame(image, pts, index, self.info.name)
            index += 1

    def close(self) -> None:
        self._closed = True
        self._decoder.close()


class _Decoder(Closing):
    """One process; requests and answers in turn, from one thread. `close` may come from another."""

    def __init__(self, pixels: int, *arguments: str) -> None:
        """pixels: the most that a picture has, which is the last of its arguments too."""
        self._pixels = pixels
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rtparse.serve.decoder", *arguments, str(pixels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is the server's to handle
        )
        self._using = RLock()
        self.dead = False

    def ask(self, data: bytes | bytearray, seconds: float) -> Answer:
        """Send a request; the answer. Raises DecodeError, with the process ended, where none comes in time."""
        with self._used(seconds):
            assert self._process.stdin is not None
            self._process.stdin.write(struct.pack("<I", len(data)))
            self._process.stdin.write(data)
            self._process.stdin.flush()
            return self._receive()

    def receive(self, seconds: float) -> Answer:
        """The next message. Raises as `ask` does."""
        with self._used(seconds):
            return self._receive()

    @contextmanager
    def _used(self, seconds: float) -> Iterator[None]:
        """Whatever goes wrong in the block, or takes too long, ends the process."""
        late = Event()

        def end() -> None:
            late.set()
            self._process.kill()

        clock = Timer(seconds, end)
        clock.daemon = True
        clock.start()
        try:
            with self._using:
                yield
        except (EOFError, OSError, ValueError):  # the pipes have ended, or what comes through them makes no sense
            self.close()
            if late.is_set():
                raise DecodeError("time", f"a file that is not decoded after {seconds:g} s", "a simpler one") from None
            raise _crashed() from None
        except BaseException:
            self.close()
            raise
        finally:
            clock.cancel()

    def _receive(self) -> Answer:
        """Trusts the process no more than its input. Raises EOFError, OSError and ValueError."""
        kind, length, width, pts = HEAD.unpack(self._read(HEAD.size))
        if kind == PICTURE:
            if not 0 < length * width <= self._pixels:
                raise ValueError(f"a picture of {width}x{length}")
            pixels = np.frombuffer(self._read(length * width * 3), np.uint8)
            return pixels.reshape(length, width, 3), pts
        news: dict[str, Any] = json.loads(self._read(min(length, _NEWS_BYTES)))
        return news

    def close(self) -> None:
        self.dead = True
        self._process.kill()  # a read in progress meets the end of the pipe
        with self._using:
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _read(self, size: int) -> bytearray:
        assert self._process.stdout is not None
        data = bytearray(size)
        view = memoryview(data)
        while view.nbytes:
            got = self._process.stdout.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            view = view[got:]
        return data


def _environment() -> dict[str, str]:
    """Of the server, but for its secret. Threads of numerical libraries reserve address space, which is limited."""
    kept = {name: value for name, value in os.environ.items() if name != "RTPARSE_TOKEN"}
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _crashed() -> DecodeError:
    return DecodeError("broken", "a file on which the decoder failed", "a whole image or video file")
