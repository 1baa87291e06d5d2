"""parts.parquet: a row a frame with the share and the box of every class."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

from rtparse.parsing import Parsing
from rtparse.sinks.partial import PartialFile, write_errors

ROWS = 2000
"""Frames of a row group, and at most in memory."""


def parts_schema(classes: Sequence[str]) -> Any:
    """The columns of parts.parquet.

    index: 0, 1, 2, ... pts: seconds from the start. width, height: of the frame in pixels. labels_crc32: of the labels'
    bytes, row by row. share_CLASS: of the frame's pixels, 0..1. box_CLASS: x, y, width, height in pixels, null where
    the class is not in view; the background has none.
    """
    return pa.schema(
        [
            ("index", pa.int64()),
            ("pts", pa.float64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("labels_crc32", pa.uint32()),
            *((f"share_{name}", pa.float64()) for name in classes),
            *((f"box_{name}", pa.list_(pa.int32(), 4)) for name in classes[1:]),
        ]
    )


class PartsSink:
    """Writes a Parquet file of `parts_schema`. Raises SinkError where it cannot be written."""

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._schema = parts_schema(classes)
        self._rows: list[tuple[Any, ...]] = []
        self._file = PartialFile(path)
        with write_errors(path):
            self._writer = pq.ParquetWriter(str(self._file.part), self._schema, compression="zstd")

    def write(self, parsing: Parsing) -> None:
        height, width = parsing.labels.shape
        crc = zlib.crc32(np.ascontiguousarray(parsing.labels).data)
        frame = parsing.frame
        self._rows.append((frame.index, frame.pts, width, height, crc, parsing.shares(), parsing.boxes()))
        if len(self._rows) == ROWS:
            self._flush()

    def finish(self) -> None:
        try:
            self._flush()
            with write_errors(self._file.path):
                self._writer.close()
        except BaseException:
            self.abort()
            raise
        self._file.commit()

    def abort(self) -> None:
        with suppress(OSError, pa.ArrowException):  # of a full disk
            self._writer.close()
        self._file.discard()

    def _flush(self) -> None:
        if not self._rows:
            return
        index, pts, width, height, crc, shares, boxes = zip(*self._rows, strict=True)
        columns: list[Any] = [index, pts, width, height, crc]
        columns += list(np.stack(shares).T)
        columns += [[frame.get(name) for frame in boxes] for name in self._classes[1:]]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        with write_errors(self._file.path):
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


def read_rows(path: Path) -> Iterator[Any]:
    """The record batches of a parts.parquet."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(ROWS)


class LabelsDigest:
    """SHA-256 over the CRC-32 of the labels of each frame, four bytes each, the lowest first."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, batch: Any) -> None:
        """Add the rows of a record batch of parts.parquet."""
        self._sha256.update(batch.column("labels_crc32").to_numpy().astype("<u4").tobytes())

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
