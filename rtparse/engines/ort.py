"""ONNX Runtime: any CPU, and whatever the installed build of ONNX Runtime can also use."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from rtparse.engines.onnx_file import LoadedFile, OnnxEngine, TensorInfo

PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")
"""Execution providers in the order of preference; those that the installed ONNX Runtime has are used."""


def providers() -> list[str]:
    """Those that are used, the best first."""
    available = ort.get_available_providers()
    return [provider for provider in PROVIDERS if provider in available]


class OnnxRuntimeEngine(OnnxEngine):
    """An .onnx file in ONNX Runtime."""

    kind = "onnxruntime"
    library = f"ONNX Runtime {ort.__version__}"

    def _load(self, threads: int) -> LoadedFile:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Idle threads sleep instead of spinning: reading and encoding need the cores between two layers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Every error is raised as well; the log would say it twice.
        options.log_severity_level = 4
        session = ort.InferenceSession(self.path, options, providers=providers())
        inputs, outputs = (
            [TensorInfo(each.name, _dtype(each.type), tuple(each.shape)) for each in tensors]
            for tensors in (session.get_inputs(), session.get_outputs())
        )

        def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            logits: NDArray[np.float32] = session.run([outputs[0].name], {inputs[0].name: batch})[0]
            return logits

        return LoadedFile(inputs, outputs, session.get_modelmeta().custom_metadata_map, run)

    @staticmethod
    def _reason(error: Exception) -> str:
        return str(error).partition("\n")[0].rpartition("] : ")[2]


def _dtype(name: str) -> str:
    """ONNX Runtime's "tensor(float)" as the name that numpy has for it."""
    element = name.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(element, element)
