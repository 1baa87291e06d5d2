"""ONNX Runtime: any CPU, and whatever the installed build of ONNX Runtime can also use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from rtparse.engines.base import Engine, check_batch
from rtparse.errors import EngineError, RtparseError, UsageError
from rtparse.metadata import ModelMetadata

PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")
"""Execution providers in the order of preference; those that the installed ONNX Runtime has are used."""


class OnnxRuntimeEngine(Engine):
    """An .onnx file with one input (N, 3, H, W) float32 and, first of its outputs, logits (N, classes, h, w) float32.

    H and W are both dynamic or both fixed; N is dynamic or 1, in which case a batch is run one by one.
    """

    kind = "onnxruntime"

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Load a model. Raises UsageError for a missing file, EngineError for one that cannot be run.

        threads: how many compute one run; None is one for each physical core that this process may use.
        """
        self.path = str(path)
        if not Path(path).is_file():
            raise UsageError(f"no file {path}", "give an .onnx file")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or physical_cores()
        # Idle threads sleep instead of spinning: reading and encoding need the cores between two layers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Every error is raised as well; the log would say it twice.
        options.log_severity_level = 4
        available = ort.get_available_providers()
        with _translated(f"{path} is no ONNX model that ONNX Runtime {ort.__version__} can load"):
            session = ort.InferenceSession(path, options, providers=[p for p in PROVIDERS if p in available])
            self.metadata = ModelMetadata.from_props(session.get_modelmeta().custom_metadata_map)
        self._input, self._output, self._one_by_one, self.sizes = _interface(session, self.path, self.metadata)
        self._session: Any = session

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        session = self._session
        if session is None:
            raise EngineError(f"{self.path} was closed", "open it again")
        check_batch(batch, self.sizes)
        parts = np.split(batch, len(batch)) if self._one_by_one else [batch]
        with _translated(f"{self.path} failed on a batch of shape {batch.shape}"):
            logits = [session.run([self._output], {self._input: np.ascontiguousarray(part)})[0] for part in parts]
        joined: NDArray[np.float32] = np.concatenate(logits) if len(logits) > 1 else logits[0]
        if joined.ndim != 4 or joined.shape[:2] != (len(batch), len(self.metadata.classes)):
            raise EngineError(f"{self.path} answered with shape {joined.shape}, expected (N, classes, h, w)")
        return joined

    def close(self) -> None:
        self._session = None


def physical_cores() -> int:
    """Cores that this process may run on, two hardware threads of one core counted once where Linux says so."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    try:
        topology = Path("/sys/devices/system/cpu")
        return len({(topology / f"cpu{i}/topology/thread_siblings_list").read_text() for i in allowed})
    except OSError:
        return len(allowed)


def _interface(
    session: ort.InferenceSession, path: str, metadata: ModelMetadata
) -> tuple[str, str, bool, tuple[tuple[int, int], ...] | None]:
    """Names of input and output, whether the batch is fixed to 1, and the sizes on offer. Raises EngineError."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    got = f"{_signature(inputs)} -> {_signature(outputs[:1])}"
    wrong = EngineError(
        f"{path} is an ONNX of another network: got {got}, expected one float input (N, 3, H, W) and float logits "
        f"(N, {len(metadata.classes)}, h, w)",
        "export a model of rtparse: rtparse export",
    )
    tensors = [*inputs, *outputs[:1]]
    if len(tensors) != 2 or any(t.type != "tensor(float)" or len(t.shape) != 4 for t in tensors):
        raise wrong
    given, logits = tensors
    batch, channels, height, width = given.shape
    # A dynamic side is a name or None. The number of classes may be one as well, and is then checked on the answer.
    classes = logits.shape[1]
    if channels != 3 or (isinstance(classes, int) and classes != len(metadata.classes)):
        raise wrong
    fixed = [isinstance(side, int) for side in (height, width)]
    if fixed[0] != fixed[1] or (isinstance(batch, int) and batch != 1):
        raise wrong
    return given.name, logits.name, isinstance(batch, int), ((height, width),) if fixed[0] else None


def _signature(values: list[Any]) -> str:
    return ", ".join(f"{value.name} {value.type}({', '.join(map(str, value.shape))})" for value in values)


@contextmanager
def _translated(failure: str) -> Iterator[None]:
    """ONNX Runtime raises a dozen types that share only Exception: each becomes an EngineError in one line."""
    try:
        yield
    except RtparseError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0].rpartition("] : ")[2]
        raise EngineError(f"{failure} ({reason})") from error
