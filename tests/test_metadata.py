"""What a model file says of itself survives the way through strings, and nonsense is named."""

from __future__ import annotations

import pytest

from rtparse.classes import CLASSES
from rtparse.errors import EngineError
from rtparse.metadata import ModelMetadata


def test_round_trip() -> None:
    metadata = ModelMetadata("mine", size_hw=(320, 192), mean=(0, 0.5, 1), channel_order="bgr", precision="fp16")
    assert ModelMetadata.from_props(metadata.to_props()) == metadata


def test_absent_fields_have_defaults() -> None:
    found = ModelMetadata.from_props({"input_size": "128x96", "unknown": "field"})
    assert (found.size_hw, found.classes) == ((128, 96), CLASSES)


@pytest.mark.parametrize(
    ("props", "message"),
    [
        ({"format": "2"}, "format 2, this rtparse reads up to 1; update"),
        # a newer format is told before fields that only it can read
        ({"format": "2", "mean": "{}"}, "format 2"),
        ({"format": "new"}, "cannot be read"),
        ({"input_size": "large"}, "cannot be read"),
        ({"mean": "[1, 2]"}, "cannot be read"),
        ({"classes": "not json"}, "cannot be read"),
        ({"classes": '["background", "person"]'}, "2 classes and 20 colours"),
        ({"channel_order": "yuv"}, "'yuv', expected rgb or bgr"),
    ],
)
def test_nonsense_is_named(props: dict[str, str], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        ModelMetadata.from_props(props)
