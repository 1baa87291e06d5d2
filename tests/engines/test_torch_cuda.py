"""Torch in half precision computes what it computes in float32; what needs a GPU is in tests/device/on_gpu."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


def test_half_precision_gives_the_labels_of_float32() -> None:
    from rtparse.engines.torch_cuda import forward, half_precision
    from rtparse.train.model import build_model

    torch.manual_seed(0)
    model = build_model("nano").eval()
    half = half_precision(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    given = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, 64, 96)).astype(np.float32))
    with torch.inference_mode():
        expected = model(given)
        logits = torch.empty_like(expected, dtype=torch.float16)
        forward(half, given.half(), logits)
    assert logits.is_contiguous()
    assert float((logits.float() - expected).abs().max()) < 0.02 * float(expected.abs().max())
