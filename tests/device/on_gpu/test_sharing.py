"""Several users of one GPU: threads, devices, and objects that nobody closed."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rtparse.device import Device, DeviceBuffer, Event, HostBuffer, Stream

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import Averaging


def average(work: Averaging, value: int) -> float:
    work.given.array[:] = value
    for _ in range(20):
        work.enqueue()
        work.stream.synchronize()
    return float(work.result.array[0])


def test_threads_share_a_device(device: Device, average_on: Callable[[Device], Averaging]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda value: average(average_on(device), value), range(12)))
    np.testing.assert_allclose(found, range(12), rtol=1e-5)


def test_a_thread_may_wait_for_another_ones_event(device: Device) -> None:
    with Stream(device) as stream, DeviceBuffer(device, (10,), np.int32) as buffer, Event(device) as done:
        sent, received = (HostBuffer(device, (10,), np.int32) for _ in range(2))
        sent.array[:] = 7
        stream.upload(buffer.array, sent.array)
        stream.download(received.array, buffer.array)
        stream.record(done)
        waiting = Thread(target=done.synchronize)
        waiting.start()
        waiting.join()
        assert (received.array == 7).all()


def test_what_one_thread_made_another_may_close(standin: StandIn) -> None:
    device = Device()
    made = [Stream(device), Event(device), DeviceBuffer(device, (10,), np.uint8), HostBuffer(device, (10,), np.uint8)]
    for close in (made[0].close, made[2].close, device.close):
        thread = Thread(target=close)
        thread.start()
        thread.join()
    assert standin.wrong() == {}


def test_two_devices_share_the_context_to_the_last(standin: StandIn, average_on: Callable[[Device], Averaging]) -> None:
    first, second = Device(), Device()
    assert average(average_on(first), 8) == average(average_on(second), 8)
    first.close()
    assert average(average_on(second), 8) == pytest.approx(8, rel=1e-5)
    assert standin.counts()["live:context"] == 1
    second.close()


def test_blocks_of_two_devices_nest(standin: StandIn) -> None:
    with Device() as first, Device() as second, first.current(), second.current(), first.current():
        DeviceBuffer(second, (10,), np.uint8).close()
        first.close()
        DeviceBuffer(second, (10,), np.uint8)


def test_a_dropped_device_frees_everything(standin: StandIn, average_on: Callable[[Device], Averaging]) -> None:
    average(average_on(Device()), 1)
    gc.collect()
    assert standin.wrong() == {}


def test_a_device_dropped_in_another_thread_frees_everything(
    standin: StandIn, average_on: Callable[[Device], Averaging]
) -> None:
    kept = [Device()]
    average(average_on(kept[0]), 1)

    def drop() -> None:
        kept.clear()
        gc.collect()

    thread = Thread(target=drop)
    thread.start()
    thread.join()
    assert standin.wrong() == {}


def test_a_process_may_end_without_closing(standin: StandIn) -> None:
    code = (
        "import numpy as np; from rtparse.device import *\n"
        "device = Device(); kept = Stream(device), DeviceBuffer(device, (10,), np.uint8), Event(device)\n"
        "other = Device(); other.current().__enter__()"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
