"""The values that travel between the driver and the workers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from rtparse.batch.names import identity, shown, shown_message
from rtparse.sources.segment import Span

KEPT = ("labels", "overlay", "stats")
"""What can be kept of a video: labels.mkv, overlay.mp4, parts.parquet."""

DONE = "done"
DAMAGED = "damaged"
"""Parsed as far as it goes: the outputs are whole, the input is not."""
FAILED = "failed"

_FORMAT = 1
"""Of the outputs: another one is parsed again."""


@dataclass(frozen=True)
class Video:
    """uri: a path or URL. name: of its folder under the output. version: changes with its content, "" if not known."""

    uri: str
    name: str
    version: str = ""


@dataclass(frozen=True)
class Options:
    """What decides about the outputs. engine: SHA-256 of the network; the rest as of `Parser` and the command."""

    engine: str
    keep: tuple[str, ...] = ("labels", "stats")
    size: str = "auto"
    smooth: float = 0.0
    backend: str | None = None

    def key(self, video: Video) -> str:
        """One word for a video and what is made of it: outputs under this key need not be made again."""
        fields = {"format": _FORMAT, "uri": identity(video.uri), "version": video.version, **dataclasses.asdict(self)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Work:
    """A video, or one of the parts of a long one. span: None for the whole video. parts: how many there are."""

    video: Video
    span: Span | None = None
    part: int = 0
    parts: int = 1

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Work:
        fields = json.loads(text)
        span = Span(**fields["span"]) if fields["span"] else None
        return cls(Video(**fields["video"]), span, fields["part"], fields["parts"])


@dataclass(frozen=True)
class Record:
    """What became of a video (or of one part): a row of the manifest, and record.json beside the outputs.

    video: its path or URL as people may see it. name: of its folder, and of no other video's. key: of `Options.key`.
    status: DONE, DAMAGED or FAILED. error: why, of the last two. fps, duration: as the file states them, seconds.
    labels_sha256: over the CRC-32 of each frame's labels. parts: 1 where it was parsed in one go. seconds, cpu_seconds:
    spent on it, by all workers; seconds count the parts one after the other. worker: who finished it. device: what its
    engine ran on. finished: seconds since 1970.
    """

    video: str
    name: str
    key: str
    status: str
    engine: str
    error: str = ""
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration: float = 0.0
    labels_sha256: str = ""
    parts: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    worker: str = ""
    device: str = ""
    finished: float = 0.0

    def to_json(self) -> bytes:
        return (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Record:
        """Fields that this version does not know are left out; raises TypeError where one is missing."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in fields.items() if name in known})

    @property
    def whole(self) -> bool:
        """Whether the outputs are there."""
        return self.status in (DONE, DAMAGED)


def failed(video: Video, key: str, engine: str, error: str) -> Record:
    """The record of a video of which nothing came. Of the error what people may see is kept."""
    return Record(shown(video.uri), video.name, key, FAILED, engine, shown_message(error))
