"""Labels by a model for pictures that have none, so that another model can be trained on them (self-training)."""

from __future__ import annotations

import filecmp
import json
import os
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import CLASSES, IGNORE_LABEL, NUM_CLASSES
from rtparse.errors import SinkError, SourceError, UsageError
from rtparse.parser import Parser
from rtparse.sinks.partial import write_whole
from rtparse.sources.images import IMAGE_SUFFIXES, image_files
from rtparse.train.writing import make_folder, png

RECORD = "labelled-by.json"
"""File beside images/ and labels/ that says how the labels were made."""


@dataclass(frozen=True)
class Method:
    """How labels are made. Two runs into one folder must agree in it. sha256: of the model's file."""

    model: str
    sha256: str
    input_size: str
    flip: bool
    scales: tuple[float, ...]
    confidence: float


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, or of images/ in it, by name.

    Raises UsageError for a folder without pictures, and where two share a stem: their labels would share a name.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "expected a folder of pictures")
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for place in (folder, folder / "images"):
        for path in image_files(place):
            by_stem[path.stem].append(path)
        if by_stem:
            break
    else:
        raise UsageError(f"no pictures in {folder}", f"expected {', '.join(f'*{s}' for s in sorted(IMAGE_SUFFIXES))}")
    for first, *others in by_stem.values():
        if others:
            raise UsageError(f"{first} and {others[0].name} would both be labelled {first.stem}.png", "rename one")
    return [path for paths in by_stem.values() for path in paths]


def confident_labels(parser: Parser, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8 labels of an image (H, W, 3) uint8 BGR; 255 where the parser's engine is in doubt.

    The engine is a ConfidentEngine, or any other, which is never in doubt. Raises UsageError for one of other classes
    than rtparse's 20.
    """
    classes = parser.engine.metadata.classes
    if classes[:NUM_CLASSES] != CLASSES:
        raise UsageError("the model has classes of its own", f"expected one with the {NUM_CLASSES} classes of rtparse")
    labels = parser(image).labels
    return np.where(labels < NUM_CLASSES, labels, np.uint8(IGNORE_LABEL))


class LabelledFolder:
    """A folder of images/ and labels/ in the making. Each file in it is whole or absent, and none is replaced."""

    def __init__(self, root: Path, method: Method) -> None:
        """Begin, or go on where an earlier run with the same method ended.

        Raises UsageError for a folder whose labels were made otherwise, SinkError for one that cannot be written.
        """
        self._images, self._labels = root / "images", root / "labels"
        record, wanted = root / RECORD, json.loads(json.dumps(asdict(method)))
        made = _read_record(record)
        if made is None and self._labels.is_dir() and any(self._labels.iterdir()):
            raise UsageError(f"{self._labels} holds labels that were not made here", "choose another folder")
        if made is not None and any(made.get(name) != wanted[name] for name in wanted):
            other = next(name for name in wanted if made.get(name) != wanted[name])
            raise UsageError(
                f"the labels in {root} were made with {other} {made.get(other)}, not {wanted[other]}",
                "choose another folder, or delete this one",
            )
        for folder in (self._images, self._labels):
            make_folder(folder)
        if made is None:
            write_whole(record, f"{json.dumps(wanted, indent=2)}\n".encode())

    def has_label(self, picture: Path) -> bool:
        return self._label(picture).exists()

    def write_label(self, picture: Path, labels: NDArray[np.uint8]) -> None:
        """Write the labels (H, W) uint8 of a picture. Raises SinkError."""
        write_whole(self._label(picture), png(labels))

    def add_picture(self, picture: Path) -> None:
        """Put the picture beside its label: a hard link where the file system allows it, else a copy.

        Raises UsageError where another picture has its name already, SourceError where it cannot be read, SinkError.
        """
        place = self._images / picture.name
        if place.exists():
            try:
                same = filecmp.cmp(picture, place, shallow=False)
            except OSError as error:
                raise SourceError(f"{error.filename} cannot be read ({error.strerror})") from None
            if not same:
                raise UsageError(f"{place} is another picture than {picture}", "choose another folder")
            return
        try:
            os.link(picture.resolve(), place)
        except OSError:
            try:
                content = picture.read_bytes()
            except OSError as error:
                raise SinkError(f"{picture} cannot be copied ({error.strerror})") from None
            write_whole(place, content)

    def _label(self, picture: Path) -> Path:
        return self._labels / f"{picture.stem}.png"


def _read_record(path: Path) -> dict[str, object] | None:
    try:
        made = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error})", "choose another folder, or delete this one") from None
    return made if isinstance(made, dict) else {}
