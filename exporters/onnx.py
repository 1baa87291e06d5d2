"""Checkpoint to ONNX: BatchNorm folded, auxiliary heads dropped, compared with torch before the file gets its name."""

from __future__ import annotations

import copy
import itertools
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rtparse.errors import EngineError
from rtparse.metadata import SIZE_MULTIPLE, ModelMetadata
from rtparse.sinks.partial import write_whole
from rtparse.train.model import CDLinkNet, check_size

OPSET = 18
"""The first with an antialias flag on Resize; everything that reads ONNX today knows it."""
MIN_AGREEMENT = 0.995
MAX_DIFFERENCE = {"fp32": 0.01, "fp16": 0.2}


@dataclass(frozen=True)
class Parity:
    """ONNX Runtime against torch: the largest difference of a logit, and the share of pixels with the same label."""

    max_difference: float
    agreement: float
    pictures: int


def fold_batchnorms(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose BatchNorms are part of the convolutions before them."""
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        children = list(parent.named_children())
        for (name, first), (next_name, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and isinstance(second, nn.BatchNorm2d):
                transposed = isinstance(first, nn.ConvTranspose2d)
                setattr(parent, name, fuse_conv_bn_eval(first, second, transpose=transposed))
                setattr(parent, next_name, nn.Identity())
    return model


def export_onnx(
    model: CDLinkNet,
    path: Path,
    metadata: ModelMetadata,
    pictures: Sequence[NDArray[np.float32]],
    size_hw: tuple[int, int] | None = None,
    weights: Literal["fp32", "fp16"] = "fp32",
) -> Parity:
    """Write an ONNX file and return how it compares with torch on `pictures`.

    model: in any mode; it is left as it is. pictures: network inputs (N, 3, H, W) float32, normalized, of any offered
    size. size_hw: a static input of batch 1, or None for dynamic batch, height and width (multiples of 16).
    weights: how they are stored; fp16 halves the file, the network still computes in fp32.
    Writes nothing and raises EngineError when the parity is not reached, SinkError when the file cannot be written.
    """
    proto = to_onnx(model, metadata, size_hw, weights)
    content = proto.SerializeToString()
    parity = compare(model, content, pictures)
    if parity.agreement < MIN_AGREEMENT or not parity.max_difference <= MAX_DIFFERENCE[weights]:
        raise EngineError(
            f"the ONNX file differs from torch: largest logit difference {parity.max_difference:.2g}, expected at most "
            f"{MAX_DIFFERENCE[weights]}; same label on {parity.agreement:.2%} of pixels, expected {MIN_AGREEMENT:.1%}",
            "nothing was written; report the versions of torch, onnx and onnxruntime",
        )
    write_whole(path, content)
    return parity


def to_onnx(
    model: CDLinkNet,
    metadata: ModelMetadata,
    size_hw: tuple[int, int] | None = None,
    weights: Literal["fp32", "fp16"] = "fp32",
) -> onnx.ModelProto:
    """The network for inference, as `export_onnx` writes it, compared with nothing."""
    if size_hw is not None:
        check_size(*size_hw)
    auxiliary, model.auxiliary = model.auxiliary, None
    try:
        folded = fold_batchnorms(model)
    finally:
        model.auxiliary = auxiliary
    proto = _trace(folded, size_hw)
    if weights == "fp16":
        store_as_fp16(proto)
    helper.set_model_props(proto, replace(metadata, precision=weights).to_props())
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _trace(model: nn.Module, size_hw: tuple[int, int] | None) -> onnx.ModelProto:
    height, width = size_hw or (256, 192)
    # A dynamic dimension is traced at 2 or more: torch makes a constant of a 1.
    example = torch.zeros(1 if size_hw else 2, 3, height, width)
    dynamic = None
    if size_hw is None:
        rows, columns = (torch.export.Dim(name, min=2, max=512) for name in ("rows", "columns"))
        dynamic = (
            {0: torch.export.Dim("batch", min=1, max=1024), 2: SIZE_MULTIPLE * rows, 3: SIZE_MULTIPLE * columns},
        )
    # The exporter warns of torchvision, which the network does not use.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=dynamic,
            verbose=False,
        )
    if program is None:
        raise EngineError("torch wrote no ONNX graph", "use the torch version that tests/constraints.txt names")
    proto = program.model_proto
    if size_hw is None:
        dims = proto.graph.output[0].type.tensor_type.shape.dim
        dims[2].dim_param, dims[3].dim_param = "8*rows", "8*columns"
    return proto


def store_as_fp16(proto: onnx.ModelProto) -> None:
    """Store the float32 weights as float16, in place, each behind a Cast that ONNX Runtime folds when it loads."""
    graph = proto.graph
    casts = []
    for weight in [item for item in graph.initializer if item.data_type == TensorProto.FLOAT and len(item.dims) > 1]:
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.fp16")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


@torch.no_grad()
def compare(model: nn.Module, content: bytes, pictures: Sequence[NDArray[np.float32]]) -> Parity:
    """Run an ONNX file in ONNX Runtime and its network in torch on the same inputs."""
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    training = model.training
    model.eval()
    difference, same, pixels = 0.0, 0, 0
    for picture in pictures:
        expected: Tensor = model(torch.from_numpy(picture))
        (found,) = session.run(None, {session.get_inputs()[0].name: picture})
        difference = max(difference, float(np.abs(found - expected.numpy()).max()))
        labels = found.argmax(axis=1)
        same += int((labels == expected.numpy().argmax(axis=1)).sum())
        pixels += labels.size
    model.train(training)
    return Parity(difference, same / pixels, sum(len(picture) for picture in pictures))
