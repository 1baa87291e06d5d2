"""Labels as the JSON API gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from rtparse._cv import cv2
from rtparse.errors import EngineError
from rtparse.parsing import Parsing


class ClassInfo(BaseModel):
    """A class of the model. colour: RGB as #rrggbb."""

    id: int
    name: str
    colour: str = Field(pattern="^#[0-9a-f]{6}$")


class Classes(BaseModel):
    """Every class, by id; 0 is the background."""

    classes: list[ClassInfo]


class FoundClass(BaseModel):
    """A class in view. share: of the picture's pixels, 0..1. box: x, y, width, height in pixels; none of background."""

    id: int
    name: str
    share: float
    box: tuple[int, int, int, int] | None


class RunLengths(BaseModel):
    """format=json. runs: the labels row by row from the top left, as id, length, id, length, ..."""

    width: int
    height: int
    found: list[FoundClass]
    runs: list[int]


class CocoMask(BaseModel):
    """A mask in COCO's compressed run lengths. size: height, width."""

    size: tuple[int, int]
    counts: str


class CocoMasks(BaseModel):
    """format=rle: a mask for each class in view but the background, by name."""

    width: int
    height: int
    found: list[FoundClass]
    masks: dict[str, CocoMask]


def class_infos(classes: tuple[str, ...], palette_rgb: NDArray[np.uint8]) -> list[ClassInfo]:
    return [
        ClassInfo(id=i, name=name, colour="#{:02x}{:02x}{:02x}".format(*palette_rgb[i]))
        for i, name in enumerate(classes)
    ]


def run_lengths(parsing: Parsing) -> RunLengths:
    flat = parsing.labels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size)
    runs = np.stack([flat[starts].astype(np.int64), lengths], 1).ravel()
    return RunLengths(**_size(parsing), found=found(parsing), runs=runs.tolist())


def coco_masks(parsing: Parsing) -> CocoMasks:
    listed = found(parsing)
    masks = {each.name: CocoMask.model_validate(parsing.rle(each.name)) for each in listed if each.id}
    return CocoMasks(**_size(parsing), found=listed, masks=masks)


def png(parsing: Parsing) -> bytes:
    """8-bit grey, the value of a pixel is its class id. Raises EngineError for a size that PNG cannot hold."""
    done, data = cv2.imencode(".png", parsing.labels)
    if not done:
        raise EngineError(f"labels of shape {parsing.labels.shape} cannot be written as PNG")
    return data.tobytes()


def found(parsing: Parsing) -> list[FoundClass]:
    boxes = parsing.boxes()
    return [
        FoundClass(id=parsing.classes.index(name), name=name, share=share, box=boxes.get(name))
        for name, share in parsing.share().items()
    ]


def _size(parsing: Parsing) -> dict[str, int]:
    height, width = parsing.labels.shape
    return {"width": width, "height": height}
