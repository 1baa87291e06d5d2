"""Memory of the device layer is memory of PyCUDA, CuPy and torch, and the other way round."""

from __future__ import annotations

import numpy as np
import pytest

from rtparse.device import Device, DeviceArray, DeviceBuffer, HostBuffer, Stream
from rtparse.device.driver import pycuda_driver
from rtparse.errors import UsageError


def sent(device: Device) -> DeviceBuffer:
    """(3, 4) float32 on the GPU: 0, 1, 2, ..."""
    buffer = DeviceBuffer(device, (3, 4), np.float32)
    with Stream(device) as stream, HostBuffer(device, (3, 4), np.float32) as host:
        host.array[:] = np.arange(12).reshape(3, 4)
        stream.upload(buffer.array, host.array)
        stream.synchronize()
    return buffer


def received(device: Device, array: object) -> np.ndarray:
    seen = DeviceArray.of(array)
    with Stream(device) as stream, HostBuffer(device, seen.shape, seen.dtype) as host:
        stream.download(host.array, seen)
        stream.synchronize()
        return host.array.copy()


def test_pycuda_reads_ours_and_we_read_pycudas(device: Device) -> None:
    pycuda_driver()
    from pycuda import gpuarray

    with device.current():
        interface = sent(device).__cuda_array_interface__
        theirs = gpuarray.GPUArray(interface["shape"], np.dtype(interface["typestr"]), gpudata=interface["data"][0])
        np.testing.assert_array_equal(theirs.get(), np.arange(12).reshape(3, 4))
        other = gpuarray.to_gpu(np.arange(6, dtype=np.int32).reshape(2, 3))
        np.testing.assert_array_equal(received(device, other), np.arange(6).reshape(2, 3))
        with pytest.raises(UsageError, match=r"strides \(4, 12\); make it contiguous first"):
            DeviceArray.of(gpuarray.to_gpu(np.asfortranarray(np.ones((3, 4), np.float32))))
        del theirs, other


def test_torch_reads_ours_and_we_read_torchs(device: Device) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    buffer = sent(device)
    theirs = torch.as_tensor(buffer, device="cuda")
    assert theirs.tolist() == np.arange(12).reshape(3, 4).tolist()
    theirs += 1
    torch.cuda.synchronize()
    np.testing.assert_array_equal(received(device, buffer), np.arange(12).reshape(3, 4) + 1)


def test_cupy_reads_ours_and_we_read_cupys(device: Device) -> None:
    cupy = pytest.importorskip("cupy")
    buffer = sent(device)
    np.testing.assert_array_equal(cupy.asarray(buffer).get(), np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(received(device, cupy.arange(6).reshape(2, 3)), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("part", "shape", "first"),
    [
        (slice(1, 3), (2, 4), 4),  # two rows
        (2, (4,), 8),  # one row
        (slice(None), (3, 4), 0),
        (slice(5, 9), (0, 4), None),  # behind the end: empty
    ],
)
def test_parts_lie_where_numpy_has_them(
    device: Device, part: int | slice, shape: tuple[int, ...], first: int | None
) -> None:
    array = sent(device).array[part]
    assert array.shape == shape
    if first is not None:
        assert received(device, array).flat[0] == first


def test_a_view_reads_the_same_bytes(device: Device) -> None:
    array = sent(device).array
    assert received(device, array.view((2, 2), np.uint32)).tolist() == (
        np.arange(4, dtype=np.float32).view(np.uint32).reshape(2, 2).tolist()
    )
    with pytest.raises(UsageError, match="got 48 bytes; expected 52"):
        array.view((13,))


def test_an_array_on_the_host_is_refused() -> None:
    with pytest.raises(UsageError, match="got ndarray; expected an array on the GPU"):
        DeviceArray.of(np.zeros(3))
