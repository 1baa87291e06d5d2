"""The torch operator's own launch, which needs no device layer. On a GPU tests/kernels/test_gpu.py tries all of it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from rtparse.kernels.launch import upsample_concat

torch = pytest.importorskip("torch")
driver = pytest.importorskip("cuda.bindings.driver")


def call(name: str, *arguments: Any) -> Any:
    status, *results = getattr(driver, name)(*arguments)
    assert status == driver.CUresult.CUDA_SUCCESS, (name, status)
    return results[0] if results else None


def on_device(tensor: torch.Tensor) -> int:
    size = tensor.numel() * tensor.element_size()
    address = call("cuMemAlloc", size)
    call("cuMemcpyHtoD", address, tensor.data_ptr(), size)
    return int(address)


@pytest.mark.skipif("RTPARSE_STANDIN" not in os.environ, reason="says in torch's place what torch would say of a GPU")
def test_it_computes_interpolate_and_cat(monkeypatch: pytest.MonkeyPatch) -> None:
    from standin_driver import compile_twin

    from rtparse.train import upsample_concat as operator
    from rtparse.train.model import upsample_concat as interpolate_and_cat

    call("cuInit", 0)
    call("cuCtxSetCurrent", call("cuDevicePrimaryCtxRetain", call("cuDeviceGet", 0)))
    monkeypatch.setattr(operator, "compile_kernel", compile_twin)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    features = [torch.randn(2, 5, side, side + 1).half() for side in (4, 9, 16)]
    expected = interpolate_and_cat([x.float() for x in features])
    output = torch.full(expected.shape, torch.nan).half()
    address = on_device(output)
    shapes = [tuple(x.shape) for x in features]
    operator._launch(upsample_concat("half", "linear", [on_device(x) for x in features], shapes, address), 0)
    call("cuCtxSynchronize")
    call("cuMemcpyDtoH", output.data_ptr(), address, 2 * output.numel())
    torch.testing.assert_close(output, expected.half(), rtol=2**-10, atol=1e-5)
