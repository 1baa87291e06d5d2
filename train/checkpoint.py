"""Checkpoints: weights in safetensors, whose metadata says which network they are of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.model import CDLinkNet, ModelConfig, build_model
from rtparse.train.resume import write_whole


def save_checkpoint(model: CDLinkNet, path: Path, metadata: ModelMetadata) -> None:
    """Write the weights with the network's configuration; the file appears under its name only when whole.

    Raises SinkError when it cannot be written.
    """
    props = metadata.to_props() | {"config": json.dumps(dataclasses.asdict(model.config))}
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    # `save_file` would make a file that only its owner may read.
    write_whole(path, lambda file: file.write(save(state, props)))


def load_checkpoint(path: Path) -> tuple[CDLinkNet, ModelMetadata]:
    """The network in evaluation mode on the CPU, and what its file says of it.

    Raises UsageError for a missing file, EngineError for one that is not a checkpoint of rtparse.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}", "give the .safetensors file that training wrote")
    try:
        with safe_open(path, framework="pt") as archive:
            props = archive.metadata() or {}
            state = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise EngineError(f"{path} is no readable safetensors file ({error})") from None
    if "config" not in props:
        raise EngineError(f"{path} does not say which network it holds", "expected a file written by rtparse training")
    model = build_model(_config(props["config"], path))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise EngineError(f"{path} does not fit its own configuration ({error})") from None
    return model.eval(), ModelMetadata.from_props(props)


def _config(written: str, path: Path) -> ModelConfig:
    try:
        fields = json.loads(written)
        return ModelConfig(**fields | {"aspp_rates": tuple(fields["aspp_rates"])})
    except (ValueError, TypeError, KeyError) as error:
        raise EngineError(
            f"{path} holds a network that this rtparse cannot build ({error})", "update rtparse: pip install -U rtparse"
        ) from None


def take_over(model: CDLinkNet, path: Path) -> tuple[int, int]:
    """Start from a checkpoint: copy every tensor whose name and shape fit; (tensors copied, tensors of the model).

    A checkpoint of the same network fits whole. Raises as `load_checkpoint`, and UsageError where nothing fits.
    """
    given = load_checkpoint(path)[0].state_dict()
    own = model.state_dict()
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise UsageError(f"nothing in {path} fits the network", "give a checkpoint with the same encoder")
    model.load_state_dict(own | fitting)
    return len(fitting), len(own)
