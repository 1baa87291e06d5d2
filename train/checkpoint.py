"""Checkpoints: weights in safetensors, whose metadata says which network they are of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.model import CDLinkNet, ModelConfig, build_model


def save_checkpoint(model: CDLinkNet, path: Path, metadata: ModelMetadata) -> None:
    """Write the weights with the network's configuration; the file appears under its name only when whole."""
    props = metadata.to_props() | {"config": json.dumps(dataclasses.asdict(model.config))}
    beside = path.with_name(f".{path.name}.part")
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, beside, props)
    beside.replace(path)


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
    fields = json.loads(props["config"])
    fields["aspp_rates"] = tuple(fields["aspp_rates"])
    model = build_model(ModelConfig(**fields))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise EngineError(f"{path} does not fit its own configuration ({error})") from None
    return model.eval(), ModelMetadata.from_props(props)
