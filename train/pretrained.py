"""ImageNet weights for the encoder."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rtparse.errors import EngineError, UsageError
from rtparse.train.resnet import ResNetEncoder, normalize_from_folded

FOLDED = ".npz"
"""Suffix of a file whose BatchNorms are folded."""


def load_imagenet(encoder: ResNetEncoder, path_or_url: str, pictures: Tensor | None = None) -> None:
    """Load a classifier's weights into an encoder, in place, but for its `fc` and a `layer4` that the encoder lacks.

    path_or_url: torchvision's ImageNet file (.pth, path or URL, read with weights_only), the same as .safetensors, or
        an .npz whose BatchNorms are folded into `<conv>.weight` and `<conv>.bias`.
    pictures: (N, 3, H, W) normalized, a few dozen real ones; wanted by a folded file only, to unfold it.
    Raises UsageError for a missing file and EngineError for one that cannot be read or is of another network.
    """
    if path_or_url.startswith(("http://", "https://")):
        with _readable(path_or_url):
            state = torch.hub.load_state_dict_from_url(path_or_url, map_location="cpu", weights_only=True)
        return _load_plain(encoder, state, path_or_url)
    path = Path(path_or_url)
    if not path.is_file():
        raise UsageError(f"no file {path}", "give a .pth, .safetensors or .npz file, or its URL")
    if path.suffix == FOLDED:
        if pictures is None:
            raise UsageError(f"{path} has its BatchNorms folded", "give pictures to unfold it")
        return _load_folded(encoder, path, pictures)
    with _readable(str(path)):
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    return _load_plain(encoder, state, str(path))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineError(f"{name} cannot be read ({reason})", "expected a file of weights, no pickled model") from None


@contextmanager
def _fitting(name: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise EngineError(f"{name} does not fit the encoder ({detail})", "give the file of the same ResNet") from None


def _load_plain(encoder: ResNetEncoder, state: object, name: str) -> None:
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise EngineError(f"{name} holds {type(state).__name__}, expected tensors by name", "give a state dict")
    with _fitting(name):
        encoder.load_state_dict(_wanted(encoder, state))


def _load_folded(encoder: ResNetEncoder, path: Path, pictures: Tensor) -> None:
    with _readable(str(path)), np.load(path, allow_pickle=False) as archive:
        state = _wanted(encoder, {key: torch.from_numpy(archive[key]) for key in archive.files})
    weights = {key: value for key, value in state.items() if key.endswith(".weight")}
    with _fitting(str(path)):
        strange = encoder.load_state_dict(weights, strict=False).unexpected_keys
    if strange:
        raise EngineError(f"{path} does not fit the encoder (it has {strange[0]})", "give the file of the same ResNet")
    biases = {norm_of(key.removesuffix(".bias")): value for key, value in state.items() if key.endswith(".bias")}
    normalize_from_folded(encoder, biases, pictures)


def _wanted(encoder: ResNetEncoder, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the classifier, and without the last stage where the encoder has none."""
    dropped = ("fc.",) if encoder.layer4 is not None else ("fc.", "layer4.")
    return {key: value for key, value in state.items() if not key.startswith(dropped)}


def norm_of(convolution: str) -> str:
    """Name of the BatchNorm behind a convolution: conv2 -> bn2, downsample.0 -> downsample.1."""
    if convolution.endswith("downsample.0"):
        return convolution[:-1] + "1"
    head, _, number = convolution.rpartition("conv")
    return f"{head}bn{number}"
