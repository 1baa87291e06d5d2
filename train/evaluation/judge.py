"""A parser's answers against labels, picture by picture."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import CLASSES
from rtparse.errors import UsageError
from rtparse.parser import Parser
from rtparse.train.compose import Pair
from rtparse.train.evaluation.boundary import boundary_counts, boundary_iou
from rtparse.train.metrics import Scores, class_iou, confusion, scores


@dataclass(frozen=True, eq=False)
class Judged:
    """A picture with its labels and what the parser found: miou is its own, over the classes that its labels show.

    pair: as in `Pair`. predicted: (H, W) uint8.
    """

    name: str
    miou: float
    pair: Pair
    predicted: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a parser's answers to a dataset are worth.

    boundary_iou: (20,) by class, nan for classes that the labels never show; see `boundary`.
    confusion: (20, 20) pixel counts, rows are the labels.
    pictures: the name and the own mIoU of every picture, in order; nan where all its pixels are ignored.
    worst: the pictures with the lowest mIoU, lowest first.
    """

    scores: Scores
    boundary_iou: NDArray[np.float64]
    confusion: NDArray[np.int64]
    pictures: tuple[tuple[str, float], ...]
    worst: tuple[Judged, ...]


def judge(parser: Parser, pairs: Iterable[tuple[str, Pair]], keep_worst: int = 0) -> Judgement:
    """Parse every picture and compare with its labels, at the labels' resolution.

    pairs: names and pictures; all but the `keep_worst` worst are forgotten at once.
    Raises UsageError where there is no picture, no labelled pixel, or a parser of other classes than rtparse's 20.
    """
    if parser.engine.metadata.classes != CLASSES:
        raise UsageError(
            f"the model has {len(parser.engine.metadata.classes)} classes of its own",
            f"only models with the {len(CLASSES)} classes of rtparse can be judged",
        )
    matrices, bands, pictures = [], [], []
    worst: list[tuple[float, int, Judged]] = []
    for number, (name, pair) in enumerate(pairs):
        predicted = parser(pair.image).labels
        matrix = confusion(pair.labels, predicted)
        matrices.append(matrix)
        bands.append(boundary_counts(pair.labels, predicted))
        iou = class_iou(matrix)
        miou = float(np.nanmean(iou)) if matrix.any() else np.nan
        pictures.append((name, miou))
        if keep_worst and matrix.any():
            heapq.heappush(worst, (-miou, -number, Judged(name, miou, pair, predicted)))
            if len(worst) > keep_worst:
                heapq.heappop(worst)
    figures = scores(matrices)
    total = np.asarray(np.sum(matrices, axis=0), np.int64)
    return Judgement(
        scores=figures,
        boundary_iou=boundary_iou(bands, total.sum(axis=1) > 0),
        confusion=total,
        pictures=tuple(pictures),
        worst=tuple(judged for *_, judged in sorted(worst, key=lambda each: each[:2], reverse=True)),
    )
