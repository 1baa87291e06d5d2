"""What a model file says of itself: written by the exporter, read by every engine.

In an ONNX file it is the standard `metadata_props` (string to string); beside a TensorRT plan it is the sidecar.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rtparse.classes import CLASSES, PALETTE_RGB
from rtparse.errors import EngineError

FORMAT = 1
"""Version of these fields. Older ones are read, newer ones refused."""

SIZE_MULTIPLE = 16
"""The network's stride: its input height and width are multiples of it."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelMetadata:
    """Fields with their documented defaults, used for files that carry none.

    size_hw: the size that the model was trained for; height times width is the pixel budget of `--size auto`.
    mean, std: of RGB values in 0..1, in the order of `channel_order`.
    precision: of the weights as stored.
    """

    name: str = ""
    classes: tuple[str, ...] = CLASSES
    palette_rgb: tuple[tuple[int, int, int], ...] = tuple((int(r), int(g), int(b)) for r, g, b in PALETTE_RGB)
    size_hw: tuple[int, int] = (256, 192)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channel_order: str = "rgb"
    precision: str = "fp32"

    def to_props(self) -> dict[str, str]:
        """The fields as strings, for metadata_props."""
        return {
            "format": str(FORMAT),
            "name": self.name,
            "classes": json.dumps(self.classes),
            "palette": json.dumps(self.palette_rgb),
            "input_size": f"{self.size_hw[0]}x{self.size_hw[1]}",
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
            "channel_order": self.channel_order,
            "precision": self.precision,
        }

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, for a sidecar."""
        return {key: json.loads(text) if text.startswith("[") else text for key, text in self.to_props().items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> ModelMetadata:
        """Read `to_json`'s fields; as `from_props`."""
        return cls.from_props(
            {key: each if isinstance(each, str) else json.dumps(each) for key, each in fields.items()}
        )

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> ModelMetadata:
        """Read fields; one that is absent has its default. Raises EngineError naming a field that cannot be read."""
        default = cls()
        try:
            written = int(props.get("format", FORMAT))
            if written > FORMAT:
                raise EngineError(
                    f"the model's metadata has format {written}, this rtparse reads up to {FORMAT}",
                    "update rtparse: pip install -U rtparse",
                )
            height, _, width = props.get("input_size", "256x192").partition("x")
            found = cls(
                name=props.get("name", default.name),
                classes=tuple(json.loads(props["classes"])) if "classes" in props else default.classes,
                palette_rgb=tuple((int(r), int(g), int(b)) for r, g, b in json.loads(props["palette"]))
                if "palette" in props
                else default.palette_rgb,
                size_hw=(int(height), int(width)),
                mean=_three(props, "mean", default.mean),
                std=_three(props, "std", default.std),
                channel_order=props.get("channel_order", default.channel_order),
                precision=props.get("precision", default.precision),
            )
        except (ValueError, TypeError) as error:
            raise EngineError(
                f"the model's metadata cannot be read ({error})", "export it again: rtparse export"
            ) from None
        if len(found.palette_rgb) != len(found.classes):
            raise EngineError(f"the model names {len(found.classes)} classes and {len(found.palette_rgb)} colours")
        if found.channel_order not in ("rgb", "bgr"):
            raise EngineError(f"the model's channel_order is {found.channel_order!r}, expected rgb or bgr")
        return found


def _three(props: Mapping[str, str], key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if key not in props:
        return default
    a, b, c = json.loads(props[key])
    return float(a), float(b), float(c)
