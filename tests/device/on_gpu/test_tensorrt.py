"""What the TensorRT engine does with its library: a stand-in, and the real one as far as it goes without a GPU."""

from __future__ import annotations

import hashlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from halving import logits_of
from halving_plans import PROFILES
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.engines import open_engine
from rtparse.engines.flavours import FLAVOURS, Flavour
from rtparse.engines.plan import describe_layers
from rtparse.engines.tensorrt import TensorRTEngine
from rtparse.errors import DeviceMemoryError, EngineError, RtparseError
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.sidecar import Build, Profile, Sidecar, Target, this_os, write_plan

if TYPE_CHECKING:
    from standin_driver import StandIn

    from tests.device.on_gpu.conftest import WritePlan


def batch(count: int, height: int = 64, width: int = 96) -> NDArray[np.float32]:
    return np.random.default_rng(count).normal(0, 1, (count, 3, height, width)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        ("float32", 1e-6),
        ("float16", 3e-3),
    ],
)
@pytest.mark.parametrize(
    ("count", "height", "width"),
    [
        (1, 64, 96),  # fewest
        (3, 64, 96),  # between
        (4, 64, 96),  # most
        (9, 64, 96),  # split into 4, 4 and 1
        (1, 64, 64),  # filled up to the fewest
        (5, 64, 64),  # split, and the last filled up
    ],
)
def test_logits_are_the_networks(
    write: WritePlan, dtype: str, tolerance: float, count: int, height: int, width: int
) -> None:
    with open_engine(write(dtype=dtype)) as engine:
        assert engine.kind == "standin"
        assert engine.sizes == ((64, 96), (64, 64))
        assert engine.batch == 2
        assert engine.metadata.name == "halves"
        given = batch(count, height, width)
        for _ in range(3):  # at first without a graph
            found = engine.infer(given)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, logits_of(given), atol=tolerance)
            given = given + 1


def test_logits_belong_to_the_caller(write: WritePlan) -> None:
    with open_engine(write()) as engine:
        first = engine.infer(batch(1))
        engine.infer(batch(1) + 1)
        np.testing.assert_allclose(first, logits_of(batch(1)), atol=1e-6)
        first[:] = 0


def test_threads_take_turns(write: WritePlan) -> None:
    with open_engine(write()) as engine, ThreadPoolExecutor(4) as pool:
        given = [batch(1 + index % 4, *list(PROFILES)[index % 2]) for index in range(16)]
        for found, wanted in zip(pool.map(engine.infer, given), map(logits_of, given), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_once_it_runs_a_batch_is_one_graph_and_nothing_is_made(write: WritePlan, standin: StandIn) -> None:
    with open_engine(write()) as engine:
        for _ in range(2):
            engine.infer(batch(4))
        standin.zero()
        for _ in range(10):
            engine.infer(batch(4))
        calls = {name[6:]: count for name, count in standin.counts().items() if name.startswith("calls:")}
        del calls["cuCtxPushCurrent"], calls["cuCtxPopCurrent"]
        assert calls == {"cuGraphLaunch": 10, "cuStreamSynchronize": 10}


def test_without_graphs_it_runs_as_well(write: WritePlan, standin: StandIn) -> None:
    with open_engine(write()) as engine:
        standin.fail("cuGraphInstantiateWithFlags", code=801)
        for _ in range(3):
            np.testing.assert_allclose(engine.infer(batch(4)), logits_of(batch(4)), atol=1e-6)
        assert standin.counts()["failed"] == 1
        assert "calls:cuGraphLaunch" not in standin.counts()


def test_a_library_that_records_its_own_graphs_is_left_to_it(
    write: WritePlan, flavour: Flavour, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FLAVOURS, "standin", replace(flavour, portable=True))
    with open_engine(write()) as engine:
        for count in (1, 2, 1, 2):
            np.testing.assert_allclose(engine.infer(batch(count)), logits_of(batch(count)), atol=1e-6)
    assert "calls:cuStreamBeginCapture" not in standin.counts()


def test_what_is_freed_first_was_made_last(write: WritePlan, standin: StandIn) -> None:
    import standin_tensorrt

    engine = open_engine(write())
    engine.infer(batch(4))
    engine.close()
    engine.close()
    assert standin_tensorrt.freed == ["context"] * 2 + ["engine", "runtime"]  # one for the largest batch of each size
    assert standin.wrong() == {}
    with pytest.raises(EngineError, match="the engine was closed; open it again"):
        engine.infer(batch(4))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"content": "no plan"}, EngineError, r"standin cannot load .*model.plan \(Magic tag does not match\); build"),
        ({"dtype": "int8"}, EngineError, "plan of another network: got image int8.*float16 or float32"),
        ({"format": "HWC8"}, EngineError, "plan of another network"),
        ({"classes": 7}, EngineError, r"got image .*, logits float32\(-1, 7, -1, -1\); .* \(N, 20, h, w\)"),
        ({"names": ["image", "logits", "more"]}, EngineError, "expected one input"),
        ({"activations": 2**31}, DeviceMemoryError, r"the GPU has no 2048\.0 MiB left: 1024\.0 MiB of 1024\.0 MiB"),
        ({"no_context": True}, EngineError, "has no execution context"),
    ],
)
def test_a_plan_that_cannot_be_used_is_told_and_leaves_nothing(
    write: WritePlan, standin: StandIn, fields: dict[str, Any], error: type[RtparseError], message: str
) -> None:
    with pytest.raises(error, match=message), open_engine(write(**fields)) as engine:
        engine.infer(batch(1))
    assert standin.wrong() == {}


def test_a_run_that_fails_is_told(write: WritePlan) -> None:
    with (
        open_engine(write(fails=True)) as engine,
        pytest.raises(EngineError, match=r"failed on a batch of shape \(1, 3, 64, 96\) \(the tactic was out of luck\)"),
    ):
        engine.infer(batch(1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"compute_capability": "8.6"}, r"for compute capability 8\.6 \(stand-in\), this GPU has 8\.9"),
        ({"version": "10.13.0"}, r"built by standin 10\.13\.0, this is 11\.0\.0"),
        ({"os": "Windows AMD64"}, "built on Windows AMD64"),
    ],
)
def test_a_plan_of_another_machine_is_not_loaded(write: WritePlan, fields: dict[str, str], message: str) -> None:
    built = replace(Target("standin", "11.0.0", this_os(), "stand-in", "8.9"), **fields)
    with pytest.raises(EngineError, match=message + ".*; build it again on this machine: rtparse export"):
        open_engine(write(built))


def test_a_plan_without_a_sidecar_has_the_defaults(
    write: WritePlan, flavour: Flavour, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    path.with_name("model.plan.json").unlink()
    monkeypatch.setattr("rtparse.engines.plan.installed_flavour", lambda: flavour)
    with open_engine(path) as engine:
        assert engine.metadata == ModelMetadata()
    assert "model.plan has no sidecar model.plan.json: the defaults are assumed" in caplog.text


def test_half_the_batch_is_tried_where_memory_is_short(
    write: WritePlan, standin: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    path = write()
    with open_engine(path) as engine:
        engine.infer(batch(4))
        last = standin.counts()["calls:cuMemAlloc"]
    for _ in range(2):  # PyCUDA collects garbage and tries once more by itself
        standin.fail("cuMemAlloc", last, code=2)
    with open_engine(path) as engine:
        np.testing.assert_allclose(engine.infer(batch(9)), logits_of(batch(9)), atol=1e-6)
    assert "batches are halved: the GPU has no" in caplog.text


def test_frames_take_the_way_of_the_gpu(write: WritePlan, standin: StandIn) -> None:
    import standin_tensorrt
    from standin_driver import compile_twin

    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    letterbox = Letterbox.fit((128, 192), (64, 96))
    with Parser(write()) as parser:
        engine = parser.engine
        assert isinstance(engine, TensorRTEngine)
        with engine.frame_path((64, 96), compiler=compile_twin) as first:
            second = engine.frame_path((64, 96), depth=1, compiler=compile_twin)  # closed with the engine
            (left,), (right,) = (path.submit([(image, letterbox)]).result() for path in (first, second))
        expected = parser(image).labels
        np.testing.assert_array_equal(left.labels, right.labels)
        assert (left.labels == expected).mean() > 0.9995
        with pytest.raises(EngineError, match="input of 96x64; the model offers 64x96, 64x64"):
            engine.frame_path((96, 64))
    assert standin_tensorrt.freed == ["context"] * 7 + ["engine", "runtime"]
    with pytest.raises(EngineError, match="closed"):
        engine.frame_path((64, 96))


def test_layers_are_listed(write: WritePlan) -> None:
    assert list(describe_layers(write())) == ["layer 0", "layer 1"]


def test_the_stand_in_for_tensorrt_has_its_names() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    standin_tensorrt = pytest.importorskip("standin_tensorrt")
    for kind in (
        standin_tensorrt.Runtime,
        standin_tensorrt.ICudaEngine,
        standin_tensorrt.EngineInspector,
        standin_tensorrt.IExecutionContext,
        standin_tensorrt.TensorIOMode,
        standin_tensorrt.TensorFormat,
        standin_tensorrt.ExecutionContextAllocationStrategy,
        standin_tensorrt.IRuntimeConfig,
        standin_tensorrt.LayerInformationFormat,
        standin_tensorrt.ILogger,
    ):
        names = {name for name in vars(kind) if not name.startswith("_")}
        names.discard("cuda_graph_strategy")  # of TensorRT-RTX's own bindings, for which these are in the place
        assert names <= set(dir(getattr(trt, kind.__name__)))
    assert {"num_io_tensors", "num_optimization_profiles", "num_layers", "device_memory_size_v2"} <= set(
        dir(trt.ICudaEngine)
    )
    assert trt.float32 != trt.float16


def test_the_real_library_says_why_it_cannot_load_a_plan(standin: StandIn, tmp_path: Path) -> None:
    """TensorRT-RTX needs the CUDA runtime, which does not start on the stand-in."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("no tensorrt_rtx: install it with ../shared/tools/install_tensorrt_rtx.py")
    import tensorrt_rtx

    content = b"ftrt" + bytes(1000)
    target = Target("tensorrt-rtx", tensorrt_rtx.__version__, this_os())
    sidecar = Sidecar(
        ModelMetadata(),
        target,
        Build("rtparse export --to a.plan"),
        (Profile((64, 64), (1, 1, 1)),),
        (),
        len(content),
        hashlib.sha256(content).hexdigest(),
        "",
    )
    write_plan(tmp_path / "a.plan", content, sidecar)
    with pytest.raises(EngineError, match=r"tensorrt-rtx cannot load .*a\.plan \(.+\); build it again on this machine"):
        open_engine(tmp_path / "a.plan")
