"""What `rtparse eval` found, as JSON, as Markdown and as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from rtparse.classes import CLASSES
from rtparse.parser import Parser
from rtparse.train.evaluation.judge import Judgement
from rtparse.train.evaluation.opening import model_identity, size_name
from rtparse.train.evaluation.paper import SOURCE, TABLE_1, TABLE_2
from rtparse.train.evaluation.temporal import Steadiness

FORMAT = 1
"""Version of the JSON document."""

ABSENT = "not in the labels"


@dataclass(frozen=True)
class Subject:
    """What was judged, on what and how.

    model: its name, or that of its file. engine: the kind that ran it. precision: of the weights as stored.
    sha256: of the file, "" for an engine without one.
    data: the dataset's spec and split, or the video. input_size: see `rtparse.train.evaluation.opening.size_name`.
    """

    model: str
    engine: str
    precision: str
    sha256: str
    data: str
    input_size: str
    flip: bool
    scales: tuple[float, ...]
    smooth: float

    @classmethod
    def of(
        cls, parser: Parser, data: str, input_size: str, flip: bool, scales: tuple[float, ...], smooth: float
    ) -> Subject:
        name, sha256 = model_identity(parser)
        return cls(
            model=name,
            engine=parser.engine.kind,
            precision=parser.engine.metadata.precision,
            sha256=sha256,
            data=data,
            input_size=size_name(input_size, parser.engine),
            flip=flip,
            scales=scales,
            smooth=smooth,
        )

    def line(self) -> str:
        """All of it in one line of text."""
        how = ["input of the model's size" if self.input_size == "model" else f"input {self.input_size}"]
        if self.flip:
            how.append("flip")
        if self.scales != (1.0,):
            how.append(f"scales {', '.join(f'{scale:g}' for scale in self.scales)}")
        if self.smooth:
            how.append(f"smooth {self.smooth:g}")
        return f"{self.model} ({self.engine}, {self.precision} weights) on {self.data}, {', '.join(how)}"


@dataclass(frozen=True)
class Report:
    """A judgement of labels or of steadiness in the forms that people and programs read."""

    subject: Subject
    found: Judgement | Steadiness

    def document(self) -> dict[str, Any]:
        """For JSON: what is not defined, such as the IoU of a class without labels, is None."""
        if isinstance(self.found, Steadiness):
            figures = {name: _defined(value) for name, value in asdict(self.found).items()}
        else:
            figures = _document(self.found)
        return {"format": FORMAT, **asdict(self.subject), **figures}

    def markdown(self) -> str:
        """One page, the paper's tables at its end where they compare."""
        parts = [f"# Evaluation\n\n{_escaped(self.subject.line())}; {self._extent()}."]
        if self.subject.sha256:
            parts[0] += f" SHA-256 of the model `{self.subject.sha256}`."
        if isinstance(self.found, Steadiness):
            parts.append(_markdown(("figure", "value"), _steadiness_rows(self.found)))
        else:
            parts += _judgement_markdown(self.found)
        return "\n\n".join(parts) + "\n"

    def tables(self) -> list[Table]:
        """For the terminal."""
        title = f"{self.subject.line()}; {self._extent()}"
        if isinstance(self.found, Steadiness):
            return [_table(("figure", "value"), _steadiness_rows(self.found), title)]
        return [
            _table(("figure", "value", SOURCE), _figure_rows(self.found), title),
            _table(("class", "IoU", "boundary IoU", f"IoU, {SOURCE}"), _class_rows(self.found), ""),
        ]

    def _extent(self) -> str:
        if isinstance(self.found, Steadiness):
            return f"{self.found.frames} frames"
        return f"{len(self.found.pictures)} pictures"


def _document(found: Judgement) -> dict[str, Any]:
    figures = found.scores
    return {
        "miou": figures.miou,
        "interval": list(figures.interval),
        "miou_merged": figures.miou_merged,
        "pixel_accuracy": figures.pixel_accuracy,
        "mean_accuracy": figures.mean_accuracy,
        "person_iou": _defined(figures.person_iou),
        "boundary_iou": float(np.nanmean(found.boundary_iou)),
        "iou": _by_class(figures.iou),
        "boundary_iou_by_class": _by_class(found.boundary_iou),
        "confusion": found.confusion.tolist(),
        "by_picture": [{"name": name, "miou": _defined(miou)} for name, miou in found.pictures],
    }


def _by_class(values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(CLASSES, values, strict=True)}


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _figure_rows(found: Judgement) -> list[tuple[str, ...]]:
    figures, paper = found.scores, TABLE_2[-1]
    low, high = figures.interval
    return [
        ("mIoU", f"{figures.miou:.4f}  (95 %: {low:.4f} to {high:.4f})", f"{paper.miou / 100:.4f}"),
        ("mIoU, left and right merged", f"{figures.miou_merged:.4f}", ""),
        ("pixel accuracy", f"{figures.pixel_accuracy:.4f}", f"{paper.pixel_accuracy / 100:.4f}"),
        ("mean accuracy", f"{figures.mean_accuracy:.4f}", f"{paper.mean_accuracy / 100:.4f}"),
        ("person IoU", ABSENT if math.isnan(figures.person_iou) else f"{figures.person_iou:.4f}", ""),
        ("boundary IoU", f"{np.nanmean(found.boundary_iou):.4f}", ""),
    ]


def _class_rows(found: Judgement) -> list[tuple[str, ...]]:
    return [
        (name, ABSENT if np.isnan(iou) else f"{iou:.4f}", "" if np.isnan(band) else f"{band:.4f}", f"{paper / 100:.4f}")
        for name, iou, band, paper in zip(CLASSES, found.scores.iou, found.boundary_iou, TABLE_1[-1].iou, strict=True)
    ]


def _steadiness_rows(found: Steadiness) -> list[tuple[str, ...]]:
    unchanged = "nothing could be followed" if math.isnan(found.unchanged) else f"{found.unchanged:.4f}"
    person = "nobody in view" if math.isnan(found.unchanged_person) else f"{found.unchanged_person:.4f}"
    return [
        ("labels unchanged where motion could be followed", unchanged),
        ("the same, pixels of people", person),
        ("pixels whose motion could be followed", f"{found.followed:.4f}"),
        ("labels changed in place, a frame", f"{found.changed_in_place:.4f}"),
    ]


def _judgement_markdown(found: Judgement) -> list[str]:
    worst = sorted((miou, name) for name, miou in found.pictures if not math.isnan(miou))[:10]
    return [
        _markdown(("figure", "value", SOURCE), _figure_rows(found)),
        "Classes that the labels never show are left out of the means. The interval is a bootstrap over pictures. "
        f'The columns "{SOURCE}" are what the paper reports of its own data; they say nothing of the data above.',
        "## Classes",
        _markdown(("class", "IoU", "boundary IoU", f"IoU, {SOURCE}"), _class_rows(found)),
        "## Worst pictures",
        _markdown(("picture", "mIoU"), [(_escaped(name), f"{miou:.4f}") for miou, name in worst]),
        f"## Tables of the {SOURCE}, in per cent",
        _markdown(
            ("method", "pixel acc.", "mean acc.", "mIoU"),
            [
                (row.method, f"{row.pixel_accuracy:.2f}", f"{row.mean_accuracy:.2f}", f"{row.miou:.2f}")
                for row in TABLE_2
            ],
        ),
        _markdown(
            ("class", *(row.method for row in TABLE_1)),
            [
                *((name, *(f"{row.iou[i]:.2f}" for row in TABLE_1)) for i, name in enumerate(CLASSES)),
                ("mIoU", *(f"{row.miou:.2f}" for row in TABLE_1)),
            ],
        ),
    ]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\|*_`[]<" else letter for letter in text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> Table:
    table = Table(*head, title=title or None)
    for row in rows:
        table.add_row(*row)
    return table
