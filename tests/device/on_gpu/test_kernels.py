"""Kernels and graphs do their work in the stream's order, and nothing is made for it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rtparse.device import Device, DeviceBuffer, Graph
from rtparse.device.graphs import Replays
from rtparse.errors import DeviceError
from rtparse.kernels.nvrtc import Compiled

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import Averaging


def test_a_launch_is_done_each_time_with_what_lies_there(averaging: Averaging) -> None:
    expected = 0.0
    for value in (8, 2, 4):
        averaging.given.array[:] = value
        averaging.enqueue()
        averaging.stream.synchronize()
        expected = (expected + value) / 2
        assert (averaging.result.array == expected).all()


def test_a_graph_does_what_was_recorded(averaging: Averaging) -> None:
    averaging.given.array[:] = 8
    averaging.enqueue()
    with Graph(averaging.stream, averaging.enqueue) as graph:
        averaging.stream.synchronize()
        assert (averaging.result.array == 4).all()  # recording did nothing
        averaging.given.array[:] = 2
        graph.launch(averaging.stream)
        graph.launch(averaging.stream)
        averaging.stream.synchronize()
        assert (averaging.result.array == 2.5).all()


def test_work_is_replayed_once_it_has_been_done(averaging: Averaging) -> None:
    with Replays(averaging.stream) as replays:
        expected = 0.0
        for value in (8, 2, 4):
            averaging.given.array[:] = value
            replays.do("average", averaging.enqueue)
            averaging.stream.synchronize()
            expected = (expected + value) / 2
            assert (averaging.result.array == expected).all()


def test_work_that_cannot_be_recorded_is_done_each_time(averaging: Averaging, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rtparse")

    def waits() -> None:
        averaging.enqueue()
        averaging.stream.synchronize()

    with Replays(averaging.stream) as replays:
        expected = 0.0
        for value in (8, 2, 4):
            averaging.given.array[:] = value
            replays.do("average", waits)
            expected = (expected + value) / 2
            assert (averaging.result.array == expected).all()
    assert caplog.text.count("no CUDA graph: ") == 1


def test_an_error_while_recording_ends_the_recording(averaging: Averaging) -> None:
    def fails() -> None:
        averaging.enqueue()
        raise ValueError("the engine said no")

    with pytest.raises(ValueError, match="said no"):
        Graph(averaging.stream, fails)
    averaging.stream.synchronize()


def test_an_image_that_is_none_is_refused(device: Device, averaging: Averaging) -> None:
    from rtparse.device import Kernels
    from rtparse.kernels.frames import running_mean

    def broken(*given: Any, arch: str) -> Compiled:
        return Compiled(b"no kernel\0", "none")

    kernels = Kernels(device, broken)
    with pytest.raises(DeviceError, match="a kernel does not fit this GPU or its driver"):
        kernels.prepare(running_mean("float", 0, 0, 1, 0.5))


def test_nothing_is_allocated_once_it_runs(standin: StandIn, averaging: Averaging) -> None:
    averaging.enqueue()
    graph = Graph(averaging.stream, averaging.enqueue)
    averaging.stream.synchronize()
    standin.zero()
    for _ in range(50):
        averaging.enqueue()
        graph.launch(averaging.stream)
        averaging.stream.synchronize()
    calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    del calls["cuCtxPushCurrent"], calls["cuCtxPopCurrent"]
    assert calls == dict.fromkeys(
        ["cuMemcpyHtoDAsync", "cuLaunchKernel", "cuMemcpyDtoHAsync", "cuGraphLaunch", "cuStreamSynchronize"], 50
    )
    assert "pageable copies" not in standin.counts()
    assert "default stream" not in standin.counts()


def test_the_standin_sees_a_kernel_write_behind_its_buffer(standin: StandIn, averaging: Averaging) -> None:
    from rtparse.device import Kernels
    from rtparse.kernels.frames import running_mean

    device = averaging.stream.device
    with DeviceBuffer(device, (10,), np.float32) as small:
        launch = running_mean("float", averaging.values.array.pointer, small.array.pointer, 11, 0.5)
        Kernels(device, _twin()).prepare(launch)(averaging.stream)
        averaging.stream.synchronize()
    assert standin.counts()["misuse"] == 1
    standin.zero()


def _twin() -> Any:
    from standin_driver import compile_twin

    return compile_twin
