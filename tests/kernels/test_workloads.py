"""What `bench` times is every kernel, within the memory that it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rtparse.kernels import MACROS
from rtparse.kernels.launch import Launch
from rtparse.kernels.workloads import Sizes, Workload, workloads
from rtparse.preprocess import Letterbox

GUARD = 64


def of(frame_hw: tuple[int, int] = (61, 97), given: str = "float") -> list[Workload]:
    return list(workloads(Sizes(Letterbox.fit(frame_hw, (64, 96)), (20, 32, 48), given, given)))


def test_every_kernel_has_one_and_every_launch_a_name_of_its_own() -> None:
    launches = [each.launch(*range(len(each.memory))) for each in of()]
    assert {launch.kernel for launch in launches} == set(MACROS)
    assert len({launch.entry for launch in launches}) == len(launches)


@pytest.mark.parametrize("index", range(len(of())))
def test_it_stays_within_its_memory_and_moves_most_of_it(run_on_host: Callable[[Launch], None], index: int) -> None:
    each = of()[index]
    rng = np.random.default_rng(0)
    memory = [rng.integers(0, 256, size + 2 * GUARD, np.uint8) for size in each.memory]
    before = [array.copy() for array in memory]
    offsets = [-array.ctypes.data % 16 + GUARD // 2 for array in memory]
    run_on_host(each.launch(*(array.ctypes.data + offset for array, offset in zip(memory, offsets, strict=True))))
    written = 0
    for array, was, offset, size in zip(memory, before, offsets, each.memory, strict=True):
        changed = np.flatnonzero(array != was)
        written += size * bool(len(changed))
        assert all(offset <= place < offset + size for place in changed[[0, -1] if len(changed) else []])
    assert written > 0
    # Everything is read or written, and what is changed in place both; a palette stays in the cache.
    assert sum(each.memory) - 1024 <= each.moved <= sum(each.memory) + written
