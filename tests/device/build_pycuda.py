"""Builds PyCUDA for the tests, once for each Python: it has no wheels, and its build wants CUDA headers but no driver.

    python tests/device/build_pycuda.py         prints the folder that holds it; exit code 1 says why not

The folder lies in the user's cache, apart from the environment: only the tests' subprocesses see it. Needs g++ and the
CUDA headers, those of a toolkit (CUDA_HOME, nvcc on PATH) or of wheels.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2026.1"
HEADER_WHEELS = ["nvidia-cuda-runtime", "nvidia-cuda-profiler-api"]
PURE = ["mako", "pytools", "platformdirs"]  # what it imports beside NumPy


class CannotBuildError(Exception):
    """What is missing for the build, in one line."""


def built_pycuda() -> Path | None:
    """The folder of an earlier build for this Python, or None."""
    folder = _folder()
    return folder if (folder / "complete").is_file() else None


def build_pycuda() -> Path:
    """The folder with PyCUDA for this Python, built where it was not. Raises CannotBuildError."""
    if found := built_pycuda():
        return found
    if not shutil.which("g++"):
        raise CannotBuildError("no g++ on PATH to build PyCUDA with")
    headers = cuda_headers()
    if headers is None:
        raise CannotBuildError(f"no CUDA headers: set CUDA_HOME, or pip install {' '.join(HEADER_WHEELS)}")
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        site = Path(work) / "site"
        try:
            _install(Path(work), headers, site)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout or "").strip().splitlines() or [str(error)]
            raise CannotBuildError(f"PyCUDA {VERSION} did not build: {lines[-1]}") from error
        (site / "complete").touch()
        if not folder.exists():  # two builds may have run side by side
            site.rename(folder)
    return folder


def cuda_headers() -> Path | None:
    """The folder of cuda.h, as cuda-pathfinder finds it (toolkit or wheel)."""
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.pathfinder") is None:
        return None
    from cuda.pathfinder import find_nvidia_header_directory

    found = find_nvidia_header_directory("cudart")
    wanted = ("cuda.h", "cudaProfiler.h")
    return Path(found) if found and all((Path(found) / name).is_file() for name in wanted) else None


def _install(work: Path, headers: Path, site: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "download", "--no-deps", "--no-binary=pycuda", f"--dest={work}", f"pycuda=={VERSION}")
    with tarfile.open(next(work.glob("pycuda-*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    source = next(path for path in work.glob("pycuda-*") if path.is_dir())
    # Enough of libcuda to link against; the real or the stand-in one is found when it is loaded.
    (work / "stub.c").write_text("int cuInit(unsigned flags) { return flags != 0; }\n")
    _run("g++", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "stub.c", "-o", "libcuda.so", cwd=work)
    (source / "siteconf.py").write_text(
        "USE_SHIPPED_BOOST = True\nCUDA_TRACE = False\nCUDA_ENABLE_GL = False\nCUDA_ENABLE_CURAND = False\n"
        f"CUDA_INC_DIR = [{str(headers)!r}]\nCUDADRV_LIB_DIR = [{str(work)!r}]\nCUDADRV_LIBNAME = ['cuda']\n"
        # -O1 halves the time of the build; what PyCUDA does in C++ is no work to speak of.
        "CXXFLAGS = ['-O1', '-g0', '-w']\nLDFLAGS = []\n"
    )
    _run(*pip, "wheel", "--no-deps", f"--wheel-dir={work / 'wheels'}", ".", cwd=source)
    wheel = next((work / "wheels").glob("pycuda-*.whl"))
    _run(*pip, "install", "--no-deps", f"--target={site}", str(wheel))
    _run(*pip, "install", f"--target={site}", *PURE)


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "rtparse" / "tests" / f"pycuda-{VERSION}-{sys.implementation.cache_tag}"


if __name__ == "__main__":
    try:
        print(build_pycuda())
    except CannotBuildError as error:
        raise SystemExit(str(error)) from None
