"""Where `rtparse live` sends what it makes of its sources."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError
from rtparse.parsing import Parsing
from rtparse.sinks import (
    JsonlSink,
    NetworkSink,
    Output,
    RawLabelsSink,
    SegmentSink,
    VirtualCameraSink,
    WindowsSink,
)
from rtparse.sinks.network import check_network_url, public_part
from rtparse.sinks.partial import write_errors
from rtparse.sources.ffmpeg import without_password


@dataclass(frozen=True)
class LiveOutputs:
    """The options that name outputs.

    names: of the sources. view: makes what draws one source's frames. keep_all: labels of every frame go into the pipe.
    """

    names: Sequence[str]
    view: Callable[[], Callable[[Parsing], NDArray[np.uint8]]]
    show: bool
    record: Path | None
    segment: float
    urls: Sequence[str]
    virtual_camera: bool
    labels: bool
    jsonl: Path | None
    rle: bool
    keep_all: bool

    @property
    def jsonl_files(self) -> list[Path]:
        """That of each source; of several, --jsonl names their folder."""
        if self.jsonl is None:
            return []
        return [self.jsonl] if len(self.names) == 1 else [self.jsonl / f"{name}.jsonl" for name in self.names]

    def check(self) -> None:
        """Raise UsageError for what cannot be meant, before any work."""
        count = len(self.names)
        if self.urls and len(self.urls) != count:
            raise UsageError(f"got {len(self.urls)} --to for {count} SOURCE", "give one for each, in their order")
        for url in self.urls:
            check_network_url(url)
        for option, given in (("--virtual-camera", self.virtual_camera), ("--labels-to-stdout", self.labels)):
            if given and count > 1:
                raise UsageError(f"{option} takes one SOURCE, got {count}", "run a command for each")
        if self.rle and not self.jsonl:
            raise UsageError("--rle was given without --jsonl", "add --jsonl FILE")
        if self.jsonl and count > 1 and not self.jsonl.is_dir() and (self.jsonl.suffix or self.jsonl.exists()):
            raise UsageError(
                f"--jsonl {self.jsonl} is one file for {count} SOURCE", "name a folder, which gets one for each"
            )

    def outputs(self) -> list[Output]:
        """All of them. Makes the folder of --jsonl, and takes standard output over for --labels-to-stdout."""
        if self.jsonl and len(self.names) > 1:
            with write_errors(self.jsonl):
                self.jsonl.mkdir(exist_ok=True)
        made: list[Output] = []  # what is seen at once first: its latency is the one that is told
        if self.show:
            titles = [f"rtparse {name}" for name in self.names]
            made.append(Output("window", partial(WindowsSink, titles, [self.view() for _ in titles])))
        if self.labels:
            labels = partial(RawLabelsSink, _taken_stdout(), "standard output")
            made.append(Output("labels", labels, keep=self.keep_all))
        if self.virtual_camera:
            made.append(Output("virtual camera", partial(VirtualCameraSink, self.view())))
        made += [output for number in range(len(self.names)) for output in self._of(number)]
        return made

    def _of(self, number: int) -> Iterator[Output]:
        if self.urls:
            url = self.urls[number]
            yield Output(public_part(url), partial(NetworkSink, url, self.view()), source=number)
        if self.record:
            record = partial(SegmentSink, self.record, self.view(), name=self.names[number], seconds=self.segment)
            yield Output(f"recording {self.record / self.names[number]}", record, keep=True, source=number)
        if self.jsonl:
            path = self.jsonl_files[number]
            lines = partial(JsonlSink, path, rle=self.rle, live=True)
            yield Output(str(path), lines, keep=True, source=number)


def source_names(specs: Sequence[str]) -> list[str]:
    """A name of each source that may be part of a file's name, all different, without what may be secret in a URL."""
    names: list[str] = []
    for spec in specs:
        name = stem = _stem(spec)
        number = 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def _stem(spec: str) -> str:
    if spec.isdigit():
        return f"camera-{spec}"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec):
        stem = re.sub(r"^[^:]*://|[?#].*", "", without_password(spec))
    elif "!" in spec:
        stem = "gstreamer"
    else:
        stem = spec.partition(":")[0] if spec.startswith("stdin:") else Path(spec).name
    return re.sub(r"[^A-Za-z0-9._]+", "-", stem).strip("-.")[:60] or "source"


def _taken_stdout() -> int:
    """A descriptor of standard output; whatever else is printed there from now on goes to standard error."""
    sys.stdout.flush()
    taken = os.dup(1)
    os.dup2(2, 1)
    return taken
