"""What following gains: mIoU of people who are 5 to 20 % of the frame high, with and without it, by exact labels.

RTPARSE_FOLLOW_SCENES=12 measures on so many scenes of each kind and prints a table; by default one short one is tried.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from distant_people import composed, rendered
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.train.compose import Pair
from rtparse.train.data import pair_paths, read_pair
from rtparse.train.metrics import Scores, confusion, scores

SCENES = int(os.environ.get("RTPARSE_FOLLOW_SCENES", "0"))
FRAMES = 24
SEARCHED = 12
"""Frames from the first of a scene until its people are followed; those after it are told apart."""

Matrices = list[NDArray[np.int64]]


def parsed(parser: Parser, frames: Sequence[Pair]) -> tuple[Matrices, float]:
    """The confusion of each frame, and seconds a frame."""
    started = time.perf_counter()
    labels = [parsing.labels for parsing in parser.stream([frame.image for frame in frames])]
    seconds = (time.perf_counter() - started) / len(frames)
    return [confusion(frame.labels, found) for frame, found in zip(frames, labels, strict=True)], seconds


def told(name: str, per_scene: Sequence[Matrices], seconds: Sequence[float]) -> Scores:
    every = scores([np.sum(scene, axis=0) for scene in per_scene])
    later = scores([np.sum(scene[SEARCHED:], axis=0) for scene in per_scene])
    for part, its in (("all frames", every), ("followed", later)):
        low, high = its.interval
        print(f"{name:18} {part:11} mIoU {its.miou:.3f} ({low:.3f}-{high:.3f}) person {its.person_iou:.3f}", end=" ")
    print(f"{1000 * float(np.median(seconds)):.0f} ms a frame")
    return later


def test_a_distant_person_is_parsed_better_when_followed() -> None:
    still, *moving = rendered(3, 4)
    found = {}
    for follow, before in ((False, []), (True, [still] * 10)):
        with Parser(follow=follow) as parser:
            matrices, _ = parsed(parser, [*before, *moving])
        found[follow] = scores([np.sum(matrices[-2:], axis=0)], resamples=1)
    assert found[True].miou > 2 * found[False].miou
    assert found[True].person_iou > 0.5


@pytest.mark.skipif(SCENES == 0, reason="RTPARSE_FOLLOW_SCENES is not set")
@pytest.mark.parametrize("kind", ["rendered", "composed"])
def test_measure(kind: str, shared: Path) -> None:
    photos = [read_pair(*paths) for paths in pair_paths(shared / "data" / "ccp-lip" / "val")]
    results: dict[bool, list[tuple[Matrices, float]]] = {False: [], True: []}
    with Parser() as plain, Parser(follow=True) as following:
        for seed in range(SCENES):
            frames = list(rendered(seed, FRAMES) if kind == "rendered" else composed(photos, seed, FRAMES))
            results[False].append(parsed(plain, frames))
            results[True].append(parsed(following, frames))
    scored = [
        told(f"{kind} {name}", [matrices for matrices, _ in results[follow]], [s for _, s in results[follow]])
        for follow, name in ((False, "plain"), (True, "follow"))
    ]
    print(f"times {np.median([b[1] / a[1] for a, b in zip(*results.values(), strict=True)]):.2f}")
    assert scored[1].miou > scored[0].miou
