"""Label pictures for other programs: one PNG a frame."""

from __future__ import annotations

from pathlib import Path

from rtparse.sinks.png_folder import PngFolderSink


class MaskSink(PngFolderSink):
    """Writes the labels of frame 7 as `folder`/000007.png: 8-bit grey, the value of a pixel is its class id."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda parsing: parsing.labels)
