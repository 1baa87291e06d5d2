"""OpenVINO as rtparse uses it: silent, safe in threads, and harmless to signals."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_TELEMETRY = "openvino_telemetry"

# Importing OpenVINO sends an event to its maker's analytics, from a thread, unless this package cannot be imported.
_known = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
try:
    import openvino as ov  # type: ignore[import-untyped, unused-ignore]
    from openvino.frontend import FrontEndManager  # type: ignore[import-untyped, unused-ignore]
    from openvino.passes import ConstantFolding, Manager  # type: ignore[import-untyped, unused-ignore]
finally:
    del sys.modules[_TELEMETRY]
    if _known is not None:
        sys.modules[_TELEMETRY] = _known

# The first look into a tensor sets up OpenVINO's bridge to NumPy; two threads that do so at once wait for each other
# for ever, the interpreter's lock in hand (2026.4). While a module is imported there is one.
_BRIDGE = ov.Tensor(np.zeros(1, np.float32)).data

__all__ = ["ConstantFolding", "FrontEndManager", "Manager", "ov", "signal_stack_kept"]


class _SignalStack(ctypes.Structure):
    """stack_t of Linux."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give the thread its signal stack back at the end of the block. Compile models in it.

    A compiled model brings a signal stack of its own and puts back the former one when it goes (2026.4). Of two models
    that do not go in the reverse order of their coming, the second puts back a stack that is no longer there, and the
    next signal, Ctrl-C say, kills the process without a word. So each is to find the thread's own.
    """
    if sys.platform != "linux":
        yield
        return
    library, stack = ctypes.CDLL(None), _SignalStack()
    library.sigaltstack(None, ctypes.byref(stack))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(stack), None)
