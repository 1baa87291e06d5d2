"""NVTX ranges, by which a profiler such as Nsight Systems names what it sees."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

try:
    import nvtx  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ModuleNotFoundError:
    nvtx = None

DOMAIN = "rtparse"


@cache
def nvtx_range(name: str) -> AbstractContextManager[object]:
    """A range of that name on the calling thread, in the domain "rtparse".

    Without the package nvtx, or without a profiler, it does nothing. The same object serves every use of a name: it
    keeps no state, so ranges nest and threads share it.
    """
    return nullcontext() if nvtx is None else nvtx.annotate(name, domain=DOMAIN)
