"""What the engines of .onnx files share: which networks they take, batches one by one, errors in one line."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.engines.base import Engine, check_batch
from rtparse.engines.cores import physical_cores
from rtparse.errors import EngineError, RtparseError, UsageError
from rtparse.metadata import ModelMetadata

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output. dtype: "float32" for what is expected. shape: a dynamic side is a name, "?" or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class LoadedFile:
    """A file as a library opened it.

    props: its metadata_props. run: a contiguous batch to the first output, an array of the caller's; thread-safe.
    """

    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]
    props: Mapping[str, str]
    run: Run


class OnnxEngine(Engine):
    """An .onnx file with one input (N, 3, H, W) float32 and, first of its outputs, logits (N, classes, h, w) float32.

    H and W are both dynamic or both fixed; N is dynamic or 1, in which case a batch is run one by one.
    """

    library: str
    """Name and version of what runs the file, for messages."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Load a model. Raises UsageError for a missing file, EngineError for one that cannot be run.

        threads: how many compute one run; None is one for each physical core that this process may use.
        """
        self.path = str(path)
        if not Path(path).is_file():
            raise UsageError(f"no file {path}", "give an .onnx file")
        with self._translated(f"{path} is no ONNX model that {self.library} can load"):
            loaded = self._load(threads or physical_cores())
            self.metadata = ModelMetadata.from_props(loaded.props)
        self._one_by_one, self.sizes = self._interface(loaded)
        self._run: Run | None = loaded.run

    @abstractmethod
    def _load(self, threads: int) -> LoadedFile:
        """Open `self.path`; whatever is raised becomes an EngineError."""

    @staticmethod
    @abstractmethod
    def _reason(error: Exception) -> str:
        """The line of the library's message that says what went wrong."""

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        run = self._run
        if run is None:
            raise EngineError(f"{self.path} was closed", "open it again")
        check_batch(batch, self.sizes)
        parts = np.split(batch, len(batch)) if self._one_by_one else [batch]
        with self._translated(f"{self.path} failed on a batch of shape {batch.shape}"):
            logits = [run(np.ascontiguousarray(part)) for part in parts]
        joined: NDArray[np.float32] = np.concatenate(logits) if len(logits) > 1 else logits[0]
        if joined.ndim != 4 or joined.shape[:2] != (len(batch), len(self.metadata.classes)):
            raise EngineError(f"{self.path} answered with shape {joined.shape}, expected (N, classes, h, w)")
        return joined

    def close(self) -> None:
        self._run = None

    def _interface(self, loaded: LoadedFile) -> tuple[bool, tuple[tuple[int, int], ...] | None]:
        """Whether the batch is fixed to 1, and the sizes on offer. Raises EngineError for another network."""
        classes = len(self.metadata.classes)
        got = f"{', '.join(map(str, loaded.inputs))} -> {', '.join(map(str, loaded.outputs[:1]))}"
        wrong = EngineError(
            f"{self.path} is an ONNX of another network: got {got}, expected one float input (N, 3, H, W) and float "
            f"logits (N, {classes}, h, w)",
            "export a model of rtparse: rtparse export",
        )
        tensors = [*loaded.inputs, *loaded.outputs[:1]]
        if len(tensors) != 2 or any(t.dtype != "float32" or len(t.shape) != 4 for t in tensors):
            raise wrong
        given, logits = tensors
        batch, channels, height, width = given.shape
        # The number of classes may be dynamic as well, and is then checked on the answer.
        if channels != 3 or (isinstance(logits.shape[1], int) and logits.shape[1] != classes):
            raise wrong
        if isinstance(batch, int) and batch != 1:
            raise wrong
        if isinstance(height, int) and isinstance(width, int):
            return isinstance(batch, int), ((height, width),)
        if isinstance(height, int) or isinstance(width, int):
            raise wrong
        return isinstance(batch, int), None

    @contextmanager
    def _translated(self, failure: str) -> Iterator[None]:
        """The libraries raise a dozen types that share only Exception: each becomes an EngineError in one line."""
        try:
            yield
        except RtparseError:
            raise
        except Exception as error:
            raise EngineError(f"{failure} ({self._reason(error)})") from error
