"""What the tests of the device layer use, on the stand-in as on a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from rtparse.device import Device

if TYPE_CHECKING:
    from standin_driver import StandIn


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """The stand-in driver, its counts at zero; nothing that the test made is alive afterwards, nothing was misused."""
    if "RTPARSE_STANDIN" not in os.environ:
        pytest.skip("looks into the stand-in driver: python tests/device/run_on_standin.py")
    from standin_driver import StandIn

    found = StandIn()
    found.heal()
    found.zero()
    yield found
    found.heal()
    found.delay(70)
    counts = found.counts()
    assert {name: count for name, count in counts.items() if name.startswith(("live:", "leaked", "misuse"))} == {}


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if "RTPARSE_STANDIN" in os.environ:
        request.getfixturevalue("standin")  # looks whether everything was freed
    with Device() as opened:
        yield opened
