"""`rtparse::UpsampleConcat` in TensorRT: a quickly deployable plugin whose kernel is compiled ahead of time.

The machine code goes into the plan, which needs neither a library of ours nor Python when it runs.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
from types import ModuleType
from typing import Any

from rtparse.errors import EngineError
from rtparse.exporters.upsample_concat import DOMAIN, OP
from rtparse.kernels.launch import BLOCK, upsample_concat_grid, upsample_concat_sizes
from rtparse.kernels.nvrtc import compile_kernel

KERNEL = "upsample_concat"
LAYOUTS = {"LINEAR": "linear", "HWC8": "hwc8"}
"""Formats of TensorRT that the kernel has, and its own names of them."""

_registered: int | None = None


def register_plugin(trt: ModuleType, inputs: int, arch: str, driver: int | None = None) -> None:
    """Make the plugin known to TensorRT's importer, with as many inputs as the network's node has.

    arch: of the GPU that builds, "sm_89". driver: what cuDriverGetVersion says of its driver.
    A process can have it with one number of inputs: EngineError for a second one. Not thread-safe.
    """
    global _registered
    if _registered is not None:
        if _registered != inputs:
            raise EngineError(
                f"this process builds networks whose {OP} has {_registered} inputs, this one has {inputs}",
                "build it in another process",
            )
        return
    trtp = importlib.import_module(f"{trt.__name__}.plugin")
    given = dict.fromkeys((f"x{number}" for number in range(inputs)), trtp.TensorDesc)
    outputs = tuple[trtp.TensorDesc]
    plugin = f"{DOMAIN}::{OP}"

    @trtp.register(plugin)  # type: ignore[untyped-decorator, unused-ignore]
    @_annotated(given, trtp.TensorDesc)
    def describe(*features: Any) -> Any:
        made = features[-1].like()
        made.shape_expr[1] = functools.reduce(operator.add, [each.shape_expr[1] for each in features])
        return made

    @trtp.autotune(plugin)  # type: ignore[untyped-decorator, unused-ignore]
    @_annotated(given | {"outputs": outputs}, list[trtp.AutoTuneCombination])
    def combinations(*features_and_outputs: Any) -> Any:
        types = {trt.float16: "FP16", trt.bfloat16: "BF16", trt.float32: "FP32"}
        chosen = types[features_and_outputs[0].dtype]
        layouts = "LINEAR" if chosen == "FP32" else "|".join(LAYOUTS)  # TensorRT has HWC8 for half types only
        return [trtp.AutoTuneCombination(*(",".join([each] * (inputs + 1)) for each in (chosen, layouts)))]

    @trtp.aot_impl(plugin)  # type: ignore[untyped-decorator, unused-ignore]
    @_annotated(
        given | {"outputs": outputs, "tactic": int},
        tuple[str | bytes, str | bytes, trtp.KernelLaunchParams, trtp.SymExprs],
    )
    def implement(*arguments: Any) -> Any:
        features, (made,) = arguments[:inputs], arguments[inputs]
        types = {trt.float16: "half", trt.bfloat16: "bfloat16", trt.float32: "float"}
        dtype, layout = types[features[0].dtype], LAYOUTS[features[0].format.name]
        compiled = compile_kernel(KERNEL, (dtype, layout, str(inputs)), arch=arch, form="ptx", driver=driver)
        launch = trtp.KernelLaunchParams()
        launch.grid_x, launch.grid_y, launch.grid_z = upsample_concat_grid(layout, dtype, *made.shape_expr)
        launch.block_x = BLOCK
        sizes = [trtp.SymInt32(size) for size in upsample_concat_sizes([each.shape_expr for each in features])]
        return compiled.entry, compiled.code, launch, trtp.SymIntExprs.from_tuple(sizes)

    _registered = inputs


def _annotated(parameters: dict[str, Any], returned: Any) -> Any:
    """Give a function the signature that TensorRT reads: names and annotations, which vary with the inputs."""

    def decorate(function: Any) -> Any:
        function.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
                for name, kind in parameters.items()
            ],
            return_annotation=returned,
        )
        return function

    return decorate
