"""What there is to compute with."""

from __future__ import annotations

import os
from pathlib import Path


def physical_cores() -> int:
    """Cores that this process may run on, two hardware threads of one core counted once where Linux says so."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    try:
        topology = Path("/sys/devices/system/cpu")
        return len({(topology / f"cpu{i}/topology/thread_siblings_list").read_text() for i in allowed})
    except OSError:
        return len(allowed)


def multiplies_bytes() -> bool:
    """Whether the CPU has instructions for sums of products of bytes (VNNI, AMX, Arm's dot product); Linux says so."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return not {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}.isdisjoint(features.split())
