"""What happens in a process that is forked from this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from rtparse.errors import DeviceError


def in_a_fork(use: Callable[[], object]) -> tuple[str, int]:
    """What it is told, and how it ends; one that waits for ever is ended."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            use()
        except DeviceError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read(), os.waitpid(child, 0)[1]
