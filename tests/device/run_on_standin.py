"""Runs pytest on the stand-in driver, under the real PyCUDA and the real cuda-bindings.

    python tests/device/run_on_standin.py [--driver FOLDER] [pytest's arguments]      default: all of on_gpu/

FOLDER keeps the stand-in, and kernels compiled for it, between runs. Exit code 77: it cannot be built here; the last
line says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from build_pycuda import CannotBuildError, build_pycuda
from standin_driver import build_driver

HERE = Path(__file__).parent
SKIP = 77


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments[:1] == ["--driver"]:
            folder = Path(arguments[1])
            arguments = arguments[2:]
        try:
            site = build_pycuda()
            if not (folder / "libcuda.so.1").is_file():
                build_driver(folder)
        except CannotBuildError as error:
            print(error)
            return SKIP
        paths = {
            "LD_LIBRARY_PATH": [str(folder), os.environ.get("LD_LIBRARY_PATH", "")],
            "PYTHONPATH": [str(HERE), str(site), os.environ.get("PYTHONPATH", "")],
        }
        joined = {name: os.pathsep.join(filter(None, values)) for name, values in paths.items()}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        if all(each.startswith("-") for each in arguments):
            command.append(str(HERE / "on_gpu"))
        environment = {**os.environ, **joined, "RTPARSE_STANDIN": str(folder.resolve())}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
