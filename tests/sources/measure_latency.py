"""The latency table of docs/live.md: from a picture's capture to the finished overlay, read from its pixels.

python tests/sources/measure_latency.py
"""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
from conftest import RtspServer, coded, number_of

from rtparse.engines.fake import FakeEngine
from rtparse.parser import Parser
from rtparse.sources.live import LiveOptions
from rtparse.sources.live_open import open_live

FRAMES = 100
SKIPPED = 25  # while the stream settles


def measure(parser: Parser, clip: Path, transport: Literal["tcp", "udp"]) -> tuple[str, str, float]:
    """Capture to arrival, capture to drawn (median and 95th percentile, ms), and the share of frames dropped."""
    server = RtspServer(time.monotonic(), [clip])
    arrivals, totals = [], []
    try:
        source = open_live(server.url, LiveOptions(transport=transport))
        with parser.stream(source) as stream:
            for count, parsing in enumerate(stream):
                parsing.overlay()
                now = time.monotonic()
                source.delivered(parsing.frame)
                assert parsing.frame.arrived is not None
                total = server.age(number_of(parsing.frame.image))
                if count >= SKIPPED:
                    totals.append(total)
                    arrivals.append(total - (now - parsing.frame.arrived))
                if count == SKIPPED + FRAMES:
                    break
        statistics = source.statistics()
    finally:
        server.kill()
    quoted = ["{:.0f} / {:.0f}".format(*(1000 * np.percentile(values, (50, 95)))) for values in (arrivals, totals)]
    return quoted[0], quoted[1], statistics.dropped / (statistics.dropped + statistics.frames_out)


def main() -> None:
    print(
        "| frames | transport | engine | capture to arrival | capture to drawn | dropped |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for scale in (1, 5):
            clip = Path(folder) / f"{scale}.clip"
            clip.write_bytes(b"".join(struct.pack("<I", len(packet)) + packet for packet in coded(scale)))
            for name in ("none", "small-int8", "small"):
                parser = Parser(FakeEngine(np.zeros((8, 16), np.uint8)) if name == "none" else name)
                with parser:
                    for transport in ("tcp", "udp") if name == "none" else ("tcp",):
                        arrival, total, dropped = measure(parser, clip, transport)
                        size = f"{256 * scale}x{128 * scale}"
                        print(f"| {size} | {transport} | {name} | {arrival} | {total} | {dropped:.0%} |", flush=True)


if __name__ == "__main__":
    main()
