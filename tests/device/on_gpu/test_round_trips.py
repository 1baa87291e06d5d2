"""What is copied to the GPU comes back, in the order of streams and events and whatever the delays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from rtparse.device import Device, DeviceBuffer, Event, HostBuffer, Stream
from rtparse.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from standin_driver import StandIn


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int32"])
def test_values_come_back(device: Device, dtype: str) -> None:
    with Stream(device) as stream, DeviceBuffer(device, (3, 5), dtype) as buffer:
        sent, received = (HostBuffer(device, (3, 5), dtype) for _ in range(2))
        sent.array[:] = np.arange(15).reshape(3, 5)
        received.array[:] = 0
        stream.upload(buffer.array, sent.array)
        stream.download(received.array, buffer.array)
        stream.synchronize()
        np.testing.assert_array_equal(received.array, sent.array)


def test_a_part_is_copied_to_its_place(device: Device) -> None:
    with Stream(device) as stream, DeviceBuffer(device, (4, 8), np.int32) as buffer:
        host = HostBuffer(device, (4, 8), np.int32)
        host.array[:] = np.arange(32).reshape(4, 8)
        stream.upload(buffer.array, host.array)
        stream.copy(buffer.array[0], buffer.array[3])
        back = HostBuffer(device, (2, 8), np.int32)
        stream.download(back.array[:1], buffer.array[0:1])
        stream.download(back.array[1], buffer.array[2])
        stream.synchronize()
        np.testing.assert_array_equal(back.array, host.array[[3, 2]])


def pass_on(device: Device, *, wait: bool) -> bool:
    """Whether a value that one stream uploads is seen by the stream that downloads it."""
    with Stream(device) as first, Stream(device) as second, DeviceBuffer(device, (1000,), np.int32) as buffer:
        sent, received = (HostBuffer(device, (1000,), np.int32) for _ in range(2))
        uploaded = Event(device)
        sent.array[:] = np.arange(1000)
        first.upload(buffer.array, sent.array)
        first.record(uploaded)
        if wait:
            second.wait(uploaded)
        second.download(received.array, buffer.array)
        second.synchronize()
        return bool(np.array_equal(received.array, sent.array))


def test_a_stream_waits_for_an_event_of_another(device: Device) -> None:
    assert all(pass_on(device, wait=True) for _ in range(20))


def test_the_standin_shows_a_wait_that_is_missing(standin: StandIn, device: Device) -> None:
    standin.delay(100)
    assert pass_on(device, wait=True)
    assert not pass_on(device, wait=False)
    standin.delay(70)
    assert not all(pass_on(device, wait=False) for _ in range(20))


def test_the_standin_shows_a_source_that_was_overwritten_too_early(standin: StandIn, device: Device) -> None:
    standin.delay(100)
    with Stream(device) as stream, DeviceBuffer(device, (1,), np.int32) as buffer, Event(device) as uploaded:
        host = HostBuffer(device, (1,), np.int32)
        for wait, expected in ((True, 1), (False, 2)):
            host.array[:] = 1
            stream.upload(buffer.array, host.array)
            stream.record(uploaded)
            if wait:
                uploaded.synchronize()
            host.array[:] = 2
            stream.download(host.array, buffer.array)
            stream.synchronize()
            assert host.array[0] == expected


def test_an_event_that_was_never_recorded_is_over(device: Device) -> None:
    with Event(device) as event, Stream(device) as stream:
        event.synchronize()
        stream.wait(event)
        stream.synchronize()


def test_sizes_that_differ_are_refused(device: Device) -> None:
    with Stream(device) as stream, DeviceBuffer(device, (4,), np.int32) as buffer:
        with pytest.raises(UsageError, match="got 12 bytes to copy; expected 16"):
            stream.upload(buffer.array, HostBuffer(device, (3,), np.int32).array)
        with pytest.raises(UsageError, match="got 16 bytes to copy; expected 12"):
            stream.download(HostBuffer(device, (3,), np.int32).array, buffer.array)


def test_after_closing_the_device_says_so(device: Device) -> None:
    stream = Stream(device)
    device.close()
    device.close()
    stream.close()
    with pytest.raises(DeviceError, match="the device was closed; open it again"):
        stream.synchronize()
