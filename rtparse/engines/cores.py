"""What there is to compute with."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


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
    return not _features().isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def multiplies_bfloat16() -> bool:
    """Whether an x86 CPU has instructions for sums of products of bfloat16 (AVX512-BF16, AMX); Linux says so."""
    return not _features().isdisjoint({"avx512_bf16", "amx_bf16"})


def _features() -> set[str]:
    try:
        text = CPUINFO.read_text()
    except OSError:
        return set()
    return set(next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split())
