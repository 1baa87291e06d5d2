"""OpenVINO: x86 and Arm CPUs, in bfloat16 or float16 where the CPU computes in it, which about doubles the speed."""

from __future__ import annotations

from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from rtparse._openvino import ConstantFolding, FrontEndManager, Manager, first_request, ov, signal_stack_kept
from rtparse.engines.onnx_file import LoadedFile, OnnxEngine, TensorInfo

DEVICE = "CPU"


class OpenVinoEngine(OnnxEngine):
    """An .onnx file in OpenVINO, on the CPU. Float models run in the precision that OpenVINO chooses for the CPU."""

    kind = "openvino"
    library = f"OpenVINO {ov.__version__.partition('-')[0]}"

    def _load(self, threads: int) -> LoadedFile:
        # Naming the reader keeps OpenVINO from loading, and asking, those of all other formats.
        reader = FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(self.path))
        inputs, outputs = ([_info(port) for port in ports] for ports in (model.inputs, model.outputs))
        if not inputs:
            raise ValueError("it holds no network")
        props = model.rt_info["framework"] if model.has_rt_info(["framework"]) else {}
        # INT8 files come out in float by this. Left in INT8, OpenVINO 2026.4 computes some convolutions wrongly: those
        # with a bias that it reshapes take one channel's for all, those on concatenated inputs are off as well.
        passes = Manager()
        passes.register_pass(ConstantFolding())
        passes.run_passes(model)
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Pinned threads would wait for the core that a decoder or an encoder happens to use.
            "ENABLE_CPU_PINNING": False,
        }
        with signal_stack_kept():
            compiled = ov.Core().compile_model(model, DEVICE, options)
        # A request belongs to one run at a time: there are as many as threads ever ran at once.
        idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        idle.put(first_request(compiled))

        def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
            try:
                request = idle.get_nowait()
            except Empty:
                request = compiled.create_infer_request()
            try:
                request.infer([batch])
                # The request writes its next answer into the same memory.
                return np.array(request.get_output_tensor(0).data, np.float32)
            finally:
                idle.put(request)

        return LoadedFile(inputs, outputs, {key: value.astype(str) for key, value in props.items()}, run)

    @staticmethod
    def _reason(error: Exception) -> str:
        """The last line: those before it name OpenVINO's source files."""
        return str(error).strip().rpartition("\n")[2]


def _info(port: ov.Output) -> TensorInfo:
    sides = port.get_partial_shape()
    shape = tuple(side.get_length() if side.is_static else "?" for side in sides) if sides.rank.is_static else ()
    element = port.element_type.to_string()
    return TensorInfo(next(iter(port.names), ""), {"f32": "float32", "f16": "float16"}.get(element, element), shape)
