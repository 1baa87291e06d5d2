"""manifest.parquet: a row a video. Written as work ends, so that a driver that is killed loses seconds of it."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Iterable

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

from rtparse.batch.job import Options, Record, Video
from rtparse.batch.store import WORK, Store, brief
from rtparse.errors import SinkError

MANIFEST = "manifest.parquet"
FRAGMENTS = f"{WORK}/manifest"
"""Folder of what was added since manifest.parquet was written; a reader may add its files to the table."""
FLUSH_SECONDS = 2.0
"""Rows wait so long for others at most. Every finished video also has its own record.json, from the first moment."""

_log = logging.getLogger("rtparse")
_TYPES = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
SCHEMA = pa.schema([(field.name, _TYPES[str(field.type)]) for field in dataclasses.fields(Record)])


class Manifest:
    """The records of an output by video, in memory and in its files. For one thread of the driver."""

    def __init__(self, store: Store) -> None:
        """Read what earlier runs wrote, also those that were killed, whose fragments become one file.

        Raises SinkError for what is no manifest.
        """
        self._store = store
        self._records: dict[str, Record] = {}
        self._waiting: list[Record] = []
        self._flushed = time.monotonic()
        fragments = sorted(name for name in store.names(FRAGMENTS) if name.endswith(".parquet"))
        for name in [MANIFEST, *(f"{FRAGMENTS}/{fragment}" for fragment in fragments)]:
            for record in self._read(name):
                self._records[record.name] = record
        if fragments:
            self.compact()
        self._folders = {*store.names()} if self._records else set()

    def done(self, video: Video, options: Options) -> Record | None:
        """The record of a video whose outputs are whole, of these options, and in their folder."""
        record = self._records.get(video.name)
        if record and record.whole and record.key == options.key(video) and record.name in self._folders:
            return record
        return None

    def whole(self, name: str) -> bool:
        """Whether the outputs in this folder are whole."""
        return name in self._records and self._records[name].whole

    def add(self, record: Record) -> None:
        """Take a record; it is in a file after FLUSH_SECONDS at most, if `flush_due` is called often."""
        self._records[record.name] = record
        self._waiting.append(record)

    def flush_due(self) -> None:
        """Write the waiting records where it is time; a failure is logged, and they are tried again later."""
        if not self._waiting or time.monotonic() - self._flushed < FLUSH_SECONDS:
            return
        self._flushed = time.monotonic()
        try:
            self.flush()
        except SinkError as error:
            _log.warning("the manifest waits: %s", error)

    def flush(self) -> None:
        """Write the waiting records. Raises SinkError."""
        if self._waiting:
            # Sorted by name they are in the order of their writing.
            self._write(f"{FRAGMENTS}/{time.time_ns():020d}-{secrets.token_hex(4)}.parquet", self._waiting)
            self._waiting = []

    def compact(self) -> None:
        """Write manifest.parquet with all records, sorted by video, and remove the fragments. Raises SinkError."""
        self._write(MANIFEST, sorted(self._records.values(), key=lambda record: record.video))
        self._waiting = []
        self._store.remove(FRAGMENTS)

    def _write(self, name: str, records: Iterable[Record]) -> None:
        rows = [dataclasses.asdict(record) for record in records]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, compression="zstd")
        self._store.write(name, sink.getvalue().to_pybytes())

    def _read(self, name: str) -> list[Record]:
        content = self._store.read(name)
        if content is None:
            return []
        try:
            return [Record.from_fields(row) for row in pq.read_table(pa.BufferReader(content)).to_pylist()]
        except (pa.ArrowException, TypeError, OSError) as error:
            raise SinkError(
                f"{self._store.uri}/{name} is no manifest of rtparse ({brief(error)})",
                "move it away: videos that have their record.json are not parsed again",
            ) from None
