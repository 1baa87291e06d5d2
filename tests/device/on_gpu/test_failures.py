"""Whatever fails: an error that says what to do, everything freed, and work that goes on where it can."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest
from forking import in_a_fork

from rtparse.device import Device, DeviceBuffer, Event, Graph, HostBuffer, Stream
from rtparse.errors import DeviceError, DeviceMemoryError, UsageError

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import Averaging

SWALLOWED = {"cuMemFree", "cuMemFreeHost", "cuStreamDestroy", "cuEventDestroy", "cuModuleUnload"}
"""PyCUDA says on stderr that it could not free something, and forgets it; the log says so of kernels, which are freed
with the device: in both cases the end of the context frees it."""

NOT_OURS = {
    "cuInit",  # once in a process
    "cuDriverGetVersion",
    "cuDevicePrimaryCtxRelease",  # PyCUDA says so on stderr, and there is nothing that could be done
}


def use_everything(average_on: Callable[[Device], Averaging]) -> float:
    with Device() as device:
        work = average_on(device)
        with Stream(device) as other, Event(device) as done, DeviceBuffer(device, (100,), np.float32) as copied:
            work.given.array[:] = 8
            work.enqueue()
            work.stream.record(done)
            other.wait(done)
            other.copy(copied.array, work.mean.array)
            other.record(done)
            done.synchronize()
            with Graph(work.stream, work.enqueue) as graph:
                graph.launch(work.stream)
                work.stream.synchronize()
            return float(work.result.array[0])


def test_everything_is_freed_whichever_call_fails(standin: StandIn, average_on: Callable[[Device], Averaging]) -> None:
    assert use_everything(average_on) == 6
    standin.zero()
    assert use_everything(average_on) == 6
    calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
    assert len(calls) > 25
    errors = 0
    for name in sorted(calls.keys() - NOT_OURS):
        for nth in range(1, calls[name] + 1):
            standin.zero()
            standin.fail(name, nth)
            try:
                result = use_everything(average_on)
            except DeviceError:
                errors += 1
            else:
                assert result == 6
            if standin.wrong():
                gc.collect()  # a device that could not be closed is closed when it is dropped
            assert standin.counts()["failed"] == 1, (name, nth)
            wrong = standin.wrong()
            if name in SWALLOWED:
                assert wrong.pop("leaked", 0) <= 1
            assert wrong == {}, (name, nth)
    assert errors > 50
    standin.zero()


def test_memory_that_is_not_there_is_told_with_the_amounts(standin: StandIn, device: Device) -> None:
    with DeviceBuffer(device, (2**29,), np.uint8):
        assert device.memory() == (2**29, 2**30)
        with pytest.raises(
            DeviceMemoryError,
            match=r"the GPU has no 768\.0 MiB left: 512\.0 MiB of 1024\.0 MiB are free; use a smaller size or batch",
        ):
            DeviceBuffer(device, (3, 2**28), np.uint8)
    DeviceBuffer(device, (3, 2**28), np.uint8)


def test_memory_that_is_not_there_for_something_else_is_told_too(standin: StandIn, device: Device) -> None:
    standin.fail("cuStreamCreate", code=2)
    with pytest.raises(
        DeviceMemoryError, match=r"the GPU has no memory left for cuStreamCreate: 1024\.0 MiB of 1024\.0 MiB are free"
    ):
        Stream(device)
    standin.fail("cuGraphInstantiateWithFlags", code=2)
    with (
        Stream(device) as stream,
        pytest.raises(DeviceMemoryError, match=r"for cuGraphInstantiate: 1024\.0 MiB of 1024\.0 MiB are free"),
    ):
        Graph(stream, lambda: None)


def test_memory_that_cannot_be_locked_is_told(standin: StandIn, device: Device) -> None:
    standin.fail("cuMemHostAlloc", code=2)
    with pytest.raises(DeviceMemoryError, match=r"cannot page-lock 2\.0 MiB of memory; close other programs"):
        HostBuffer(device, (2**21,), np.uint8)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (719, r"the GPU stopped working \(cuStreamSynchronize: unspecified launch failure\); restart the process"),
        (700, "an illegal memory access was encountered"),
        (214, "uncorrectable ECC error"),
        (999, "unknown error"),
    ],
)
def test_a_lost_gpu_is_told_and_the_rest_ends_quietly(
    standin: StandIn, capfd: pytest.CaptureFixture[str], code: int, message: str
) -> None:
    with pytest.raises(DeviceError, match=message), Device() as device:  # noqa: PT012
        stream, buffer, host = (
            Stream(device),
            DeviceBuffer(device, (10,), np.uint8),
            HostBuffer(device, (10,), np.uint8),
        )
        with stream, buffer, host:
            standin.fail("cuStreamSynchronize", code=code, lost=True)
            stream.synchronize()
    del stream, buffer, host
    gc.collect()
    assert "live:context" not in standin.counts()
    assert "calls:cuMemFree" not in standin.counts()
    assert capfd.readouterr().err == ""
    standin.heal()
    standin.zero()  # the context's end freed what was left


def test_a_gpu_that_is_not_there_is_wrong_use(standin: StandIn) -> None:
    with pytest.raises(UsageError, match=r"there is no GPU 3; choose from: 0 .+"):
        Device(3)


OPEN = """
from rtparse.device import Device, Graph, Stream
from rtparse.errors import RtparseError
try:
    with Device() as device, Stream(device) as stream:
        Graph(stream, lambda: None)
except RtparseError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("environment", "before", "message"),
    [
        ({"LD_LIBRARY_PATH": ""}, "", "DeviceError CUDA was not found: there is no libcuda.so.1; install the NVIDIA"),
        ({"STANDIN_DRIVER": "12040"}, "", "DeviceError the NVIDIA driver offers CUDA 12.4, PyCUDA was built for 13."),
        ({"STANDIN_LACKS": "cuStreamBeginCapture"}, "", "DeviceError the NVIDIA driver is too old (function"),
        ({"STANDIN_DEVICES": "0"}, "", "DeviceError CUDA found no GPU; check with nvidia-smi"),
        # PyCUDA as pip leaves it where its build was interrupted
        ({}, "sys.modules['pycuda._driver'] = None", "MissingDependencyError pycuda is not installed"),
        (
            {},
            "sys.modules['pycuda'] = None",
            'run: pip install "rtparse[tensorrt]" (PyCUDA has no wheels: that command',
        ),
        ({}, "sys.modules['pycuda'] = None", "sudo apt-get install g++ python3-dev && export PATH=/usr/local/cuda/bin"),
        ({}, "sys.modules['cuda.bindings'] = None", "MissingDependencyError cuda-bindings is not installed"),
    ],
)
def test_what_is_missing_is_told(standin: StandIn, environment: dict[str, str], before: str, message: str) -> None:
    assert message in said(environment, before)


def said(environment: dict[str, str], before: str = "") -> str:
    """By a process that wants to use the GPU."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{before}\n{OPEN}"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout


def test_a_driver_that_is_older_than_pycudas_is_told(standin: StandIn, tmp_path: Path) -> None:
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(tmp_path / "libcuda.so.1")]
    subprocess.run(command, input='extern "C" int cuInit(unsigned) { return 0; }', text=True, check=True)
    told = said({"LD_LIBRARY_PATH": str(tmp_path)})
    assert "DeviceError the NVIDIA driver is older than the CUDA that PyCUDA was built for" in told
    assert "undefined symbol" in told
    assert "pip install --force-reinstall --no-deps --no-cache-dir pycuda" in told


def test_a_pycuda_that_cannot_be_loaded_is_told(standin: StandIn, tmp_path: Path) -> None:
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda/__init__.py").touch()
    (tmp_path / "pycuda/driver.py").write_text("raise ImportError('libboost.so: cannot open shared object file')")
    told = said({"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])})
    assert "PyCUDA cannot be loaded (libboost.so: cannot open shared object file); build it anew: pip install" in told


def test_a_forked_process_is_told_and_leaves_the_gpu_alone(averaging: Averaging) -> None:
    device = averaging.stream.device
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        told = []
        for use in (averaging.stream.synchronize, Device, lambda: DeviceBuffer(device, (1,), np.uint8)):
            try:
                use()
            except DeviceError as error:
                told.append(str(error))
        device.close()
        os.write(write, "\n".join(told).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    assert len(told) == 3
    assert set(told) == {
        "this process was forked after CUDA had started, and cannot use the GPU; start it another way: "
        'multiprocessing.get_context("spawn")'
    }
    averaging.given.array[:] = 8
    averaging.enqueue()
    averaging.stream.synchronize()
    assert (averaging.result.array == 4).all()


def test_a_forked_process_waits_for_no_lock_of_threads_that_it_lacks(averaging: Averaging) -> None:
    device, held, done = averaging.stream.device, Flag(), Flag()

    def hold() -> None:
        with device.lock:
            held.set()
            done.wait(60)

    thread = Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        told, status = in_a_fork(lambda: [averaging.stream.close(), device.close(), Device()])
    finally:
        done.set()
        thread.join()
    assert "forked after CUDA had started" in told
    assert status == 0


def test_a_forked_process_ends_quietly(standin: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    """Also one that ends as Python does, with all its objects."""
    code = (
        "import os, sys; import numpy as np; from rtparse.device import *\n"
        "device = Device(); kept = Stream(device), DeviceBuffer(device, (10,), np.uint8), Event(device)\n"
        "child = os.fork()\n"
        "sys.exit(os.waitpid(child, 0)[1] if child else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
