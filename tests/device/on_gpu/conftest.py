"""What the tests of the device layer use, on the stand-in as on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rtparse.cli import main
from rtparse.device import Device, DeviceBuffer, HostBuffer, Kernels, Stream
from rtparse.device.kernels import Compiler
from rtparse.engines.flavours import FLAVOURS, Flavour
from rtparse.engines.tensorrt import TensorRTEngine
from rtparse.kernels.frames import running_mean
from rtparse.kernels.nvrtc import compile_kernel

if TYPE_CHECKING:
    from standin_driver import StandIn

ON_STANDIN = "RTPARSE_STANDIN" in os.environ


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """The stand-in driver, its counts at zero; nothing that the test made is alive afterwards, nothing was misused.

    What a test that failed has left behind is no failure of the next ones.
    """
    if not ON_STANDIN:
        pytest.skip("looks into the stand-in driver: python tests/device/run_on_standin.py")
    from standin_driver import StandIn

    found = StandIn()
    found.heal()
    found.zero()
    before = found.wrong()
    yield found
    found.heal()
    found.delay(70)
    assert {name: count for name, count in found.wrong().items() if count > before.get(name, 0)} == {}


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if ON_STANDIN:
        request.getfixturevalue("standin")  # looks whether everything was freed
    with Device() as opened:
        yield opened


@pytest.fixture
def compiler() -> Compiler:
    """Kernels for what runs here."""
    if ON_STANDIN:
        from standin_driver import compile_twin

        return compile_twin
    pytest.importorskip("cuda.bindings.nvrtc")
    return compile_kernel


class Averaging:
    """A piece of work for the GPU: mean = mean / 2 + values / 2, uploaded before and downloaded after."""

    def __init__(self, device: Device, compiler: Compiler, count: int = 100) -> None:
        self.stream = Stream(device)
        self.values, self.mean = (DeviceBuffer(device, (count,), np.float32) for _ in range(2))
        self.given, self.result = (HostBuffer(device, (count,), np.float32) for _ in range(2))
        self.result.array[:] = 0
        launch = running_mean("float", self.values.array.pointer, self.mean.array.pointer, count, 0.5)
        self.launch = Kernels(device, compiler).prepare(launch)
        self.stream.upload(self.mean.array, self.result.array)

    def enqueue(self) -> None:
        self.stream.upload(self.values.array, self.given.array)
        self.launch(self.stream)
        self.stream.download(self.result.array, self.mean.array)


@pytest.fixture
def average_on(compiler: Compiler) -> Callable[[Device], Averaging]:
    return lambda device: Averaging(device, compiler)


@pytest.fixture
def averaging(device: Device, average_on: Callable[[Device], Averaging]) -> Averaging:
    return average_on(device)


WritePlan = Callable[..., Path]


@pytest.fixture
def flavour(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Flavour:
    """A stand-in for TensorRT, whose plans are JSON."""
    import standin_tensorrt
    from halving_plans import FLAVOUR

    standin_tensorrt.freed.clear()
    monkeypatch.setitem(FLAVOURS, FLAVOUR.name, FLAVOUR)
    return FLAVOUR


@pytest.fixture
def write(flavour: Flavour, tmp_path: Path) -> WritePlan:
    """write(dtype="float32", built=TARGET, ...) -> a plan of the stand-in's network, with its sidecar."""
    from halving_plans import write_halving_plan

    return partial(write_halving_plan, tmp_path / "model.plan")


@pytest.fixture
def way(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames take the way of the GPU by kernels for the stand-in."""
    from standin_driver import compile_twin

    monkeypatch.setattr(TensorRTEngine, "frame_path", partialmethod(TensorRTEngine.frame_path, compiler=compile_twin))


@pytest.fixture
def rtparse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line in this process; its exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["rtparse", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run
