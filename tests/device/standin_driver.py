"""Builds the stand-in driver and the twins of kernels, and reads and steers it from the process that runs on it.

The stand-in is a `libcuda.so.1` whose device memory lies on the host and whose kernels are compiled for the host. What
it promises is what CUDA promises and no more: each stream's work waits for a random time, until an event or a
synchronization demands it.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from build_pycuda import CannotBuildError, cuda_headers

from rtparse.kernels import FOLDER, Variant, definitions, entry
from rtparse.kernels.nvrtc import Compiled

SOURCES = Path(__file__).with_name("standin")
FLAGS = ("-std=c++20", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


def build_driver(folder: Path) -> None:
    """Write libcuda.so.1 into the folder. Raises CannotBuildError."""
    headers = cuda_headers()
    if headers is None or not shutil.which("g++"):
        raise CannotBuildError("the stand-in driver needs g++ and CUDA headers")
    sources = sorted(map(str, SOURCES.glob("*.cpp")))
    flags = [*FLAGS, "-Wno-unused-parameter", "-Wl,-soname,libcuda.so.1", "-isystem", str(headers)]
    subprocess.run(["g++", *flags, *sources, "-o", str(folder / "libcuda.so.1"), "-ldl"], check=True)


@functools.cache
def twin_of(source: Path, name: str, *macros: str) -> Compiled:
    """A kernel's source as a module that the stand-in loads; entry `name`. In the place of NVRTC's cubin.

    It is kept beside the driver, where the tests' other processes find it as long as the source is the same.
    """
    read = (source, SOURCES / "twin.hpp", *sorted(FOLDER.glob("*.cuh")))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in read) + repr((FLAGS, macros)).encode()).hexdigest()
    library = Path(os.environ["RTPARSE_STANDIN"]) / f"{name}-{key[:16]}.so"
    if not library.is_file():
        unit = f'#include "{source}"\n#include "{SOURCES / "twin.hpp"}"\nTWIN({name})\n'
        command = ["g++", *FLAGS, "-Wno-unknown-pragmas", "-DRTPARSE_HOST", *macros, f"-I{FOLDER}", "-x", "c++", "-"]
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:  # nobody loads a half-written one
            part = Path(folder) / library.name
            subprocess.run([*command, "-o", str(part)], input=unit, text=True, check=True)
            part.replace(library)
    return Compiled(f"standin\n{library}\n".encode() + b"\0", name)


def compile_twin(kernel: str, variant: Variant = (), *, arch: str) -> Compiled:
    """As `rtparse.kernels.nvrtc.compile_kernel`: rtparse's kernels for the stand-in."""
    assert arch == "sm_89"
    return twin_of(FOLDER / f"{kernel}.cu", entry(kernel, variant), *definitions(kernel, variant))


class StandIn:
    """The stand-in that this process runs on."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def counts(self) -> dict[str, int]:
        """Calls by name ("calls:cuMemAlloc"), what lives by kind ("live:stream"), copies, launches, waits; 0 is absent.

        misuse: handles and addresses that were none, work that is not allowed, bytes written behind a buffer.
        leaked: what was alive when the last user of the context let go of it.
        """
        text = ctypes.create_string_buffer(1 << 16)
        assert self._library.standin_counts(text, ctypes.c_size_t(len(text))) < len(text)
        lines = (line.rpartition(" ") for line in text.value.decode().splitlines())
        return {name: int(number) for name, _, number in lines if int(number)}

    def wrong(self) -> dict[str, int]:
        """What is alive, was leaked or was misused."""
        return {name: count for name, count in self.counts().items() if name.startswith(("live:", "leaked", "misuse"))}

    def zero(self) -> None:
        """Counts of calls start anew."""
        self._library.standin_zero()

    def fail(self, name: str, after: int = 1, code: int = 1, *, lost: bool = False) -> None:
        """The `after`-th call of `name` from now fails; with `lost`, so does everything after it."""
        self._library.standin_fail(name.encode(), ctypes.c_long(after), code, int(lost))

    def heal(self) -> None:
        """Nothing fails any more."""
        self._library.standin_heal()

    def delay(self, percent: int, seed: int = 0) -> None:
        """How often a stream lets a chance to go on pass: 100 waits until work is demanded, 0 works at once."""
        self._library.standin_delay(percent, seed)
