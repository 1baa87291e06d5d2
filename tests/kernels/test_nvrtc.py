"""NVRTC compiles every variant for every architecture, with no GPU; what it cannot do is told plainly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtparse.errors import EngineError, MissingDependencyError
from rtparse.kernels import FOLDER, MACROS, definitions, entry, variants
from rtparse.kernels import nvrtc as module
from rtparse.kernels.nvrtc import compile_kernel

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_110", "sm_120")

ALL = [(kernel, variant) for kernel in MACROS for variant in variants(kernel)]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_compiles_to_machine_code(arch: str) -> None:
    # Every kernel for every architecture, every variant for one of them; all of both when asked to.
    everything = arch == "sm_89" or os.environ.get("RTPARSE_COMPILE_ALL")
    place = ARCHITECTURES.index(arch)
    chosen = ALL if everything else [(k, variants(k)[place % len(variants(k))]) for k in MACROS]
    for kernel, variant in chosen:
        code = compile_kernel(kernel, variant, arch=arch).code
        assert code.startswith(b"\x7fELF")
        assert entry(kernel, variant).encode() + b"\0" in code


@pytest.mark.parametrize(("kernel", "variant"), ALL)
def test_ptx_has_the_entry_and_the_driver_reads_its_version(kernel: str, variant: tuple[str, ...]) -> None:
    compiled = compile_kernel(kernel, variant, arch="sm_75", form="ptx", driver=13_099)
    text = compiled.code.decode().rstrip("\0")
    assert re.search(rf"\.visible \.entry {compiled.entry}\(", text)
    assert ".target sm_75" in text
    # Contraction would make the GPU's results differ from the host build's.
    assert "fma.rn.f32" not in text


def test_nvcc_compiles_the_same_source(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc")
    for kernel in MACROS:
        target = tmp_path / f"{kernel}.ptx"
        options = ["-ptx", "-std=c++17", "-fmad=false", "-arch=sm_80", *definitions(kernel, variants(kernel)[0])]
        subprocess.run(["nvcc", *options, FOLDER / f"{kernel}.cu", "-o", target], check=True)
        assert f".entry {entry(kernel, variants(kernel)[0])}(" in target.read_text()


def test_ptx_newer_than_the_driver_is_refused_with_the_way_out() -> None:
    assert compile_kernel("blend", arch="sm_80", driver=12_040).code  # machine code does not ask the driver's compiler
    with pytest.raises(EngineError, match=r"the driver, of CUDA 12\.4, .*\"nvidia-cuda-nvrtc==12\.4\.\*\""):
        compile_kernel("blend", arch="sm_80", form="ptx", driver=12_040)


def test_an_architecture_that_nvrtc_does_not_know() -> None:
    with pytest.raises(EngineError, match="cannot compile blend for sm_20"):
        compile_kernel("blend", arch="sm_20")


def test_the_compilers_words_are_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "source", lambda kernel: 'extern "C" __global__ void blend() { nonsense; }')
    with pytest.raises(EngineError, match='identifier "nonsense" is undefined'):
        module._compile.__wrapped__("blend", (), "sm_80", "cubin")  # not the result that is kept


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no variant \('double',\)"):
        compile_kernel("upsample_argmax", ("double",), arch="sm_80")


def test_without_cuda_bindings_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(
        MissingDependencyError, match=r'cuda-bindings is not installed; run: pip install "rtparse\[cuda\]"'
    ):
        compile_kernel("blend", arch="sm_80")
