"""OpenVINO as rtparse uses it: silent, safe in threads, and harmless to signals."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

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

# Some things are set up when they are first used, and not by two threads at once (2026.4). While a module is imported
# there is one. The first look into a tensor sets up the bridge to NumPy: two threads wait for each other for ever, the
# interpreter's lock in hand. The first walk over a shape makes the type of its iterator (pybind11's issue 5970): two
# threads make two, and one's run fails: "Object of type 'iterator' is not an instance of 'iterator'".
_FIRST = ov.Tensor(np.zeros(1, np.float32))
_SET_UP = _FIRST.data, tuple(_FIRST.shape), tuple(ov.PartialShape([1]))
_LOCK = Lock()

__all__ = ["ConstantFolding", "FrontEndManager", "Manager", "first_request", "ov", "signal_stack_kept"]


def first_request(compiled: ov.CompiledModel) -> ov.InferRequest:
    """A request of a model, whose runs, in any number of threads, now find set up what they need. Thread-safe."""
    with _LOCK:
        request = compiled.create_infer_request()
        tuple(request.input_tensors)  # as each run does; it walks over them with an iterator of its own type
    return request


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
