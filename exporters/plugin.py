"""`rtparse::UpsampleConcat` in TensorRT: a quickly deployable plugin whose kernel is compiled ahead of time.

The machine code goes into the plan, which needs neither a library of ours nor Python when it runs.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
from types import GenericAlias, ModuleType
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
    trtp: Any = importlib.import_module(f"{trt.__name__}.plugin")
    types = {trt.float16: ("FP16", "half"), trt.bfloat16: ("BF16", "bfloat16"), trt.float32: ("FP32", "float")}

    def describe(*features: Any) -> Any:
        made = features[-1].like()
        made.shape_expr[1] = functools.reduce(operator.add, [each.shape_expr[1] for each in features])
        return made

    def combinations(*features_and_outputs: Any) -> Any:
        dtype, _ = types[features_and_outputs[0].dtype]
        layouts = "LINEAR" if dtype == "FP32" else "|".join(LAYOUTS)  # TensorRT has HWC8 for half types only
        return [trtp.AutoTuneCombination(*(",".join([each] * (inputs + 1)) for each in (dtype, layouts)))]

    def implement(*arguments: Any) -> Any:
        features, (made,) = arguments[:inputs], arguments[inputs]
        (_, dtype), layout = types[features[0].dtype], LAYOUTS[features[0].format.name]
        compiled = compile_kernel(KERNEL, (dtype, layout, str(inputs)), arch=arch, form="ptx", driver=driver)
        launch = trtp.KernelLaunchParams()
        launch.grid_x, launch.grid_y, launch.grid_z = upsample_concat_grid(layout, dtype, *made.shape_expr)
        launch.block_x = BLOCK
        sizes = [trtp.SymInt32(size) for size in upsample_concat_sizes([each.shape_expr for each in features])]
        return compiled.entry, compiled.code, launch, trtp.SymIntExprs.from_tuple(sizes)

    plugin, tensor, text = f"{DOMAIN}::{OP}", trtp.TensorDesc, str | bytes
    given = dict.fromkeys((f"x{number}" for number in range(inputs)), tensor)
    outputs = {"outputs": GenericAlias(tuple, tensor)}
    trtp.register(plugin)(_annotated(describe, given, tensor))
    trtp.autotune(plugin)(_annotated(combinations, given | outputs, GenericAlias(list, trtp.AutoTuneCombination)))
    returned = GenericAlias(tuple, (text, text, trtp.KernelLaunchParams, trtp.SymExprs))
    trtp.aot_impl(plugin)(_annotated(implement, given | outputs | {"tactic": int}, returned))
    _registered = inputs


def _annotated(function: Any, parameters: dict[str, Any], returned: Any) -> Any:
    """Give a function the signature that TensorRT reads: names and annotations, which vary with the inputs."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind, annotation=annotation) for name, annotation in parameters.items()],
        return_annotation=returned,
    )
    return function
