"""The stand-in for PyNvVideoCodec has the names that the real package has, where that is at hand.

RTPARSE_NVCODEC names a folder with the package (an unpacked wheel); else the installed one is taken. It is loaded over
the stand-in driver, without which it cannot be imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from build_pycuda import CannotBuildError
from standin_driver import build_driver

HERE = Path(__file__).parent

ENCODER = """
typedef unsigned u;
int NvEncodeAPIGetMaxSupportedVersion(u *version) { *version = 13 << 4; return 0; }
int NvEncodeAPICreateInstance(void *list) { return list != 0; }
"""

TELL = """
import inspect, json, PyNvVideoCodec as nvc
told = {}
for name in dir(nvc):
    each = getattr(nvc, name)
    if hasattr(each, "__members__"):
        told[name] = sorted(each.__members__)
    elif inspect.isclass(each):
        told[name] = {key: inspect.getdoc(getattr(each, key)) or "" for key in dir(each)}
    elif inspect.isfunction(each):
        told[name] = list(inspect.signature(each).parameters)
    elif callable(each):
        told[name] = inspect.getdoc(each)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Classes with the texts of their members, enumerations with their names, functions with their texts."""
    folder = os.environ.get("RTPARSE_NVCODEC")
    found = importlib.util.find_spec("PyNvVideoCodec")
    if folder is None and found is None:
        pytest.skip("PyNvVideoCodec is not installed, and RTPARSE_NVCODEC names no folder with it")
    libraries = tmp_path_factory.mktemp("driver")
    try:
        build_driver(libraries)
    except CannotBuildError as error:
        pytest.skip(str(error))
    flags = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-encode.so.1", "-x", "c", "-"]
    command = [shutil.which("g++") or "g++", *flags, "-o", str(libraries / "libnvidia-encode.so.1")]
    subprocess.run(command, input=ENCODER, text=True, check=True)
    paths = {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": folder or ""}
    told = subprocess.run([sys.executable, "-c", TELL], env=os.environ | paths, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def parameters(text: str) -> set[str]:
    """Names that a text of pybind11 begins with: name(first: int = 0, second: str) -> ..."""
    return set(re.findall(r"[(,] ?(\w+): ", text))


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("CreateDecoder", {"gpuid", "codec", "cudacontext", "cudastream", "usedevicememory"}),
        ("GetDecoderCaps", {"gpuid", "codec", "chromaformat", "bitdepth"}),
        ("GetEncoderCaps", {"gpuid", "codec"}),
    ],
)
def test_functions_take_what_they_are_given(real: dict[str, Any], function: str, names: set[str]) -> None:
    assert names <= parameters(real[function])


def test_an_encoder_takes_what_it_is_given(real: dict[str, Any]) -> None:
    assert real["CreateEncoder"] == ["width", "height", "fmt", "usecpuinputbuffer", "kwargs"]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("PacketData", {"bsl", "bsl_data", "pts"}),
        ("DecodedFrame", {"getPTS", "cuda"}),
        ("CAIMemoryView", {"__cuda_array_interface__"}),
        ("PyNvDecoder", {"Decode"}),
        ("PyNvEncoder", {"Encode", "EndEncode", "GetSequenceParams"}),
    ],
)
def test_classes_have_what_is_asked_of_them(real: dict[str, Any], name: str, members: set[str]) -> None:
    import standin_nvcodec

    assert members <= real[name].keys()
    if hasattr(standin_nvcodec, name) and name not in ("PacketData", "CAIMemoryView"):
        assert members <= set(dir(getattr(standin_nvcodec, name)))


def test_packets_come_as_they_are_read(real: dict[str, Any]) -> None:
    for method in ("Encode", "EndEncode"):
        text = real["PyNvEncoder"][method]
        assert "list of dicts" in text
        assert "'data' (bytes)" in text
        assert "'picture_type' (int)" in text


def test_enumerations_have_the_names(real: dict[str, Any]) -> None:
    from rtparse.device.nvcodec import CODECS

    assert set(CODECS.values()) <= set(real["cudaVideoCodec"])
    assert "420" in real["cudaVideoChromaFormat"]
