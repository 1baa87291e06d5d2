"""From what the command line says to a parser and to labelled pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtparse.engines import Engine
from rtparse.errors import SourceError, UsageError
from rtparse.parser import Parser
from rtparse.preprocess import Size, fixed_size
from rtparse.train.data import Dataset, has_own_val, open_dataset
from rtparse.train.evaluation.augmented import AugmentedEngine
from rtparse.train.evaluation.confidence import ConfidentEngine

SYNTHETIC = 200
"""Scenes that `synthetic`, which has no end, is taken to have."""


@contextmanager
def open_parser(
    model: str | Path | None,
    *,
    backend: str | None = None,
    size: str = "auto",
    smooth: float = 0.0,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    confidence: float = 0.0,
    palette: str | None = None,
) -> Iterator[Parser]:
    """A parser of a model that may ask it several times (AugmentedEngine) and doubt it (ConfidentEngine).

    model, backend, smooth, palette: as Parser has them.
    size: of the network's input at scale 1: "auto" or "HxW" as Parser has it, or "model" for the size that the model
        was trained for, whatever the frame's shape ("auto" where the model does not offer that size).
    """
    with Parser(model, backend=backend, smooth=smooth) as plain:
        engine: Engine = plain.engine
        chosen = _size(size, engine)
        if flip or scales != (1.0,):
            engine = averaged = AugmentedEngine(engine, flip=flip, scales=scales)
            chosen = chosen if isinstance(chosen, str) else averaged.input_size(chosen)
        if confidence:
            engine = ConfidentEngine(engine, confidence)
        with Parser(engine, size=chosen, smooth=smooth, palette=palette) as parser:
            yield parser


def _size(size: str, engine: Engine) -> Size:
    if size == "model":
        return engine.metadata.size_hw if _offers_its_own(engine) else "auto"
    if size != "auto" and not re.fullmatch(r"\d+x\d+", size, re.IGNORECASE):
        raise UsageError(f"got size {size!r}", "expected model, auto or HxW such as 256x192")
    return fixed_size(size, engine.sizes) or "auto"


def size_name(size: str, engine: Engine) -> str:
    """What a report calls the network's input at a size of `open_parser`: itself, or "auto of HxW, HxW" where the model
    has fixed sizes to choose from."""
    if size not in ("model", "auto") or engine.sizes is None or (size == "model" and _offers_its_own(engine)):
        return size
    return f"auto of {', '.join(f'{height}x{width}' for height, width in engine.sizes)}"


def _offers_its_own(engine: Engine) -> bool:
    """Whether it takes the size of its training."""
    return engine.sizes is None or engine.metadata.size_hw in engine.sizes


def model_identity(parser: Parser) -> tuple[str, str]:
    """The model's name, or that of its file, and the SHA-256 of the file, "" for an engine without one."""
    path = Path(parser.engine.path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return parser.engine.metadata.name or path.name, digest


def open_labelled(spec: str, split: str, every: int = 1, hold_out: int = 0) -> Dataset:
    """Every Nth picture of a dataset; see `open_dataset`. A spec that is the path of a folder means folder:PATH.

    Raises SourceError where a file of it is missing: better now than when half of the pictures have been judged.
    """
    dataset = open_dataset(_full(spec), split, hold_out)[: SYNTHETIC if spec == "synthetic" else None : every]
    missing = [str(path) for number in range(len(dataset)) for path in dataset.paths(number) if not path.exists()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SourceError(f"{missing[0]}{more} of {spec} are missing" if more else f"{missing[0]} is missing")
    return dataset


def split_name(spec: str, split: str) -> str:
    """What a report calls the pictures of `open_labelled`: the split, where the dataset tells it from the others."""
    return split if split != "val" or has_own_val(_full(spec)) else "all pictures"


def _full(spec: str) -> str:
    return f"folder:{spec}" if Path(spec).is_dir() else spec
