"""TensorBoard: curves of a run, and what the network makes of held-out pictures while it learns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from rtparse.engines.base import Engine
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.parser import Parser
from rtparse.sinks.partial import write_errors
from rtparse.train.compose import Pair
from rtparse.train.loop import StepReport
from rtparse.train.metrics import Scores, confusion, scores
from rtparse.train.model import CDLinkNet
from rtparse.train.sheet import coloured, sheet

MOST_JUDGED = 64
"""Held-out pictures that are judged: enough for a curve."""

SHOWN = 8
"""Of those on the sheet."""


class Board:
    """Writes TensorBoard events into a run's folder. A run that goes on replaces what came after its step.

    held_out: pictures that training does not see, may be empty; the first `MOST_JUDGED` of all are judged, read each
    time anew. palette_rgb: (20, 3) uint8, the colours of their labels.
    Raises UsageError for a folder that cannot be made or written into, SinkError later, such as for a full disk.
    """

    def __init__(
        self, folder: Path, step: int, held_out: Sequence[Iterable[Pair]], palette_rgb: NDArray[np.uint8]
    ) -> None:
        try:
            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written into ({error.strerror})", "choose another folder") from None
        self._folder, self._held_out, self._palette = folder, held_out, palette_rgb

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with write_errors(self._folder) if error is None else suppress(OSError):
            self._writer.close()

    def write(self, report: StepReport) -> None:
        """The curves: losses, learning rate, images a second, and the share of time spent waiting for batches."""
        values = {
            "loss/total": report.loss,
            "loss/refined": report.refined,
            "loss/auxiliary": report.auxiliary,
            "learning rate": report.rate,
            "speed/images a second": report.pictures / report.seconds,
            "speed/share of waiting": report.waited / report.seconds,
        }
        if report.taught is not None:
            values["loss/teacher"] = report.taught
        with write_errors(self._folder):
            for name, value in values.items():
                self._writer.add_scalar(name, value, report.step)

    def judge(self, model: CDLinkNet, metadata: ModelMetadata, step: int) -> Scores | None:
        """Scores of the network on the held-out pictures, letterboxed to the model's size; None where there are none.

        The figures and a sheet of pictures, labels and predictions are written. The network's mode is kept.
        """
        training = model.training
        confusions: list[NDArray[np.int64]] = []
        rows: list[tuple[NDArray[np.uint8], ...]] = []
        with Parser(ModelEngine(model.eval(), metadata), size=metadata.size_hw) as parser:
            for pair in islice(chain.from_iterable(self._held_out), MOST_JUDGED):
                labels = parser(pair.image).labels
                confusions.append(confusion(pair.labels, labels))
                if len(rows) < SHOWN:
                    colours = (coloured(ids, pair.image, self._palette) for ids in (pair.labels, labels))
                    rows.append((pair.image, *colours))
        model.train(training)
        if not confusions:
            return None
        found = scores(confusions)
        picture = np.ascontiguousarray(sheet(rows)[:, :, ::-1])
        with write_errors(self._folder):
            self._writer.add_scalar("held out/mIoU", found.miou, step)
            self._writer.add_scalar("held out/person IoU", found.person_iou, step)
            self._writer.add_image("held out/picture, labels, prediction", picture, step, dataformats="HWC")
        return found


class ModelEngine(Engine):
    """A network in memory, where it is, as the runtime sees a model file."""

    kind = "torch"
    path = ""
    sizes = None

    def __init__(self, model: CDLinkNet, metadata: ModelMetadata) -> None:
        self.metadata = metadata
        self._model = model

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        device = next(self._model.parameters()).device
        with torch.no_grad():
            logits: NDArray[np.float32] = self._model(torch.from_numpy(batch).to(device)).cpu().numpy()
        return logits

    def close(self) -> None:
        """The network belongs to the caller."""
