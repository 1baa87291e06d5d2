"""What a CPU says that it can do, as Linux writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtparse.engines import cores

ZEN_2 = "processor\t: 0\nflags\t\t: fpu sse2 avx avx2 fma\n"
ICE_LAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512bw avx512_vnni\n"
SAPPHIRE_RAPIDS = "processor\t: 0\nflags\t\t: avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8\n"
GRAVITON_2 = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


@pytest.mark.parametrize(
    ("cpuinfo", "products_of_bytes", "products_of_bfloat16"),
    [
        (ZEN_2, False, False),
        (ICE_LAKE, True, False),  # AVX-512 alone emulates bfloat16
        (SAPPHIRE_RAPIDS, True, True),
        (GRAVITON_2, True, False),
        (None, False, False),  # no Linux
    ],
)
def test_products_of_small_numbers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpuinfo: str | None,
    products_of_bytes: bool,
    products_of_bfloat16: bool,
) -> None:
    monkeypatch.setattr(cores, "CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert cores.multiplies_bytes() == products_of_bytes
    assert cores.multiplies_bfloat16() == products_of_bfloat16
