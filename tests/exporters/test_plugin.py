"""The plugin, registered with the real tensorrt.plugin: it checks signatures and reads shapes in Python.

Its module answers to the name `tensorrt` and must be alone in its process, so each test runs one of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings.nvrtc", reason="no cuda-bindings")

ALONE = """
import sys
sys.path.insert(0, {folder!r})
import tensorrt as trt
import tensorrt.plugin as trtp
from tensorrt.plugin._lib import QDP_REGISTRY
from tensorrt.plugin._tensor import ShapeExprs
from rtparse.exporters.plugin import register_plugin

def tensor(layout="LINEAR", element=trt.float16):
    # What TensorRT hands over: shapes are expressions, known when the engine runs.
    return trtp.TensorDesc(ShapeExprs(4, _is_dummy=True), element, getattr(trt.TensorFormat, layout))
"""


@pytest.fixture
def alone(rtx, tmp_path: Path):
    """Run lines in a process where TensorRT-RTX is called tensorrt, and return what they print."""

    def run(code: str) -> list[str]:
        import importlib.util

        found = importlib.util.find_spec("tensorrt_rtx")
        (tmp_path / "tensorrt").symlink_to(Path(found.origin).parent)
        done = subprocess.run(
            [sys.executable, "-c", ALONE.format(folder=str(tmp_path)) + code],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if "[TRT]" not in line]

    return run


def test_the_registration_is_accepted(alone) -> None:
    assert alone("""
register_plugin(trt, 4, "sm_89")
register_plugin(trt, 4, "sm_89")  # once more is no harm
found = QDP_REGISTRY["rtparse::UpsampleConcat"]
print(found.input_tensor_names, found.num_outputs, dict(found.input_attrs))
made = found.register_func(*(tensor() for _ in range(4)))
print(made.dtype, len(made.shape_expr))
try:
    register_plugin(trt, 3, "sm_89")
except Exception as error:
    print(error)
""") == [
        "['x0', 'x1', 'x2', 'x3'] 1 {}",
        "DataType.HALF 4",
        "this process builds networks whose UpsampleConcat has 4 inputs, this one has 3; build it in another process",
    ]


def test_formats_on_offer(alone) -> None:
    assert alone("""
register_plugin(trt, 2, "sm_89")
found = QDP_REGISTRY["rtparse::UpsampleConcat"]
for element in (trt.float16, trt.bfloat16, trt.float32):
    given = [tensor(element=element) for _ in range(2)]
    for offered in found.autotune_func(*given, (tensor(element=element),)):
        for each in offered._get_combinations():
            print(*[str(one).rpartition(".")[2] for one in (*each.types, *each.layouts)])
""") == [
        "HALF HALF HALF LINEAR LINEAR LINEAR",
        "HALF HALF HALF HWC8 HWC8 HWC8",
        "BF16 BF16 BF16 LINEAR LINEAR LINEAR",
        "BF16 BF16 BF16 HWC8 HWC8 HWC8",
        "FLOAT FLOAT FLOAT LINEAR LINEAR LINEAR",
    ]


def test_its_kernel_is_compiled_ahead_of_time(alone) -> None:
    assert alone("""
register_plugin(trt, 4, "sm_75")
found = QDP_REGISTRY["rtparse::UpsampleConcat"]
for layout, element in (("LINEAR", trt.float16), ("HWC8", trt.bfloat16), ("LINEAR", trt.float32)):
    given = [tensor(layout, element) for _ in range(5)]
    for each in given:
        each._shape = trtp.Shape((1, 8, 8, 8))  # with it the format can be asked for
    name, code, launch, extra = found.aot_impl_func(*given[:4], (given[4],), 0)
    text = code.decode()
    entry = text.split(f".visible .entry {name}(")[1].split(")")[0]
    print(name, ".target sm_75" in text, entry.count(".param .u64"), entry.count(".param .u32"), len(extra))
    print(isinstance(launch, trtp.KernelLaunchParams), isinstance(extra[0], trtp.SymInt32))
""") == [
        line
        for name in ("half_linear", "bfloat16_hwc8", "float_linear")
        # Pointers of four inputs and the output; batch, height, width and the sides of each input between them.
        for line in (f"upsample_concat_{name}_4 True 5 15 15", "True True")
    ]
