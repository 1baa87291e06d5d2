"""The one contract that every engine passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.engines import Engine, open_engine
from rtparse.engines.fake import FakeEngine
from rtparse.errors import EngineError
from rtparse.metadata import ModelMetadata

KINDS = ["onnxruntime", "onnxruntime, one at a time", "openvino", "openvino, one at a time", "torch", "fake"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    from rtparse.train.checkpoint import save_checkpoint
    from rtparse.train.model import build_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(build_model("small"), path, ModelMetadata(name="small"))
    return path


@pytest.fixture
def engine(
    request: pytest.FixtureRequest, make_onnx: Callable[..., Path], tiny_onnx: Path, tmp_path: Path
) -> Iterator[Engine]:
    kind, _, one_at_a_time = request.param.partition(", ")
    if kind == "fake":
        opened: Engine = FakeEngine(np.eye(30, 40, dtype=np.uint8) * 13)
    elif kind == "torch":
        opened = open_engine(request.getfixturevalue("checkpoint"))
    else:
        pytest.importorskip(kind)
        path = make_onnx(tmp_path / "one.onnx", given=(1, 3, "H", "W")) if one_at_a_time else tiny_onnx
        opened = open_engine(path, kind)
    with opened:
        yield opened


def batch(count: int = 2, height: int = 64, width: int = 96) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1, (count, 3, height, width)).astype(np.float32)


pytestmark = pytest.mark.parametrize("engine", KINDS, indirect=True)


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.kind in ("onnxruntime", "openvino", "torch", "fake")
    assert engine.path == "" or Path(engine.path).is_file()
    assert engine.metadata.classes[13] == "face"
    assert engine.sizes is None


def test_logits_have_the_networks_resolution(engine: Engine) -> None:
    logits = engine.infer(batch())
    assert logits.shape == (2, 20, 32, 48)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_pictures_of_a_batch_are_answered_apart(engine: Engine) -> None:
    given = batch()
    together = engine.infer(given)
    for i in (0, 1):
        np.testing.assert_allclose(engine.infer(given[i : i + 1])[0], together[i], rtol=1e-3, atol=1e-4)


def test_logits_belong_to_the_caller(engine: Engine) -> None:
    given = batch()
    first = engine.infer(given)
    kept = first.copy()
    engine.infer(batch() + 1)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(engine.infer(given), kept)


def test_it_takes_a_batch_that_is_not_contiguous(engine: Engine) -> None:
    given = batch(4, 64, 64).transpose(0, 1, 3, 2)[::2]
    np.testing.assert_allclose(engine.infer(given), engine.infer(given.copy()), rtol=1e-4, atol=1e-5)


def test_it_runs_in_several_threads(engine: Engine) -> None:
    given = [batch() + i for i in range(6)]
    alone = [engine.infer(one) for one in given]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(engine.infer, given), alone, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 65, 64), "65x64; expected multiples of 16"),
        ((1, 3, 0, 64), "0x64"),
        ((1, 4, 64, 64), r"\(1, 4, 64, 64\)"),
        ((3, 64, 64), r"\(3, 64, 64\)"),
        ((0, 3, 64, 64), r"\(0, 3, 64, 64\)"),
    ],
)
def test_another_shape_is_refused(engine: Engine, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        engine.infer(np.zeros(shape, np.float32))


def test_another_dtype_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="float64"):
        engine.infer(np.zeros((1, 3, 64, 64)))  # type: ignore[arg-type]


def test_after_closing_it_says_so(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(batch())
