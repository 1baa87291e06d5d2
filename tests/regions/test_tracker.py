"""Which parts of frames are looked at, by what was seen in those before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from rtparse.regions.crop import PATIENCE, CropShape
from rtparse.regions.region import Region
from rtparse.regions.tracker import Look, Tracker

FRAME_HW = (720, 1280)
SHAPE = CropShape(FRAME_HW, (256, 192))
WHOLE_HW = (176, 304)


def new(most: int = 4, shape: CropShape = SHAPE) -> Tracker:
    return Tracker(shape, WHOLE_HW, most)


def clipped(box: Region, part: Region) -> Region | None:
    return part.between(box.x - part.x, box.y - part.y, box.right - part.x, box.bottom - part.y)


def step(tracker: Tracker, people: Sequence[Region], seen_from: float = 22) -> list[Look]:
    """One frame with people, as a network sees them that needs `seen_from` of its pixels of someone."""
    looks = tracker.looks()
    found = []
    for look in looks:
        network = SHAPE.network_hw if look.crop else WHOLE_HW
        zoom = min(network[0] / look.part.height, network[1] / look.part.width)
        parts = [clipped(box, look.part) for box in people]
        found.append([part for part in parts if part is not None and part.height * zoom >= seen_from])
    tracker.see(found)
    return looks


def crops(looks: Sequence[Look]) -> list[Region]:
    return [look.part for look in looks if look.crop]


def holds(part: Region, box: Region) -> bool:
    return part.shared(box) == box.area


def walker(index: int, height: int = 60, speed: float = 4, x: int = 300, y: int = 400) -> Region:
    """Someone who walks to the right, and whose legs open and close."""
    width = height // 3 + (index % 8)
    return Region(round(x + speed * index), y, width, height)


def test_someone_is_found_within_a_period_and_followed_at_full_resolution() -> None:
    tracker = new()
    history = [crops(step(tracker, [walker(index)])) for index in range(tracker.period + 20)]
    first = next(index for index, found in enumerate(history) if found)
    assert first <= tracker.period
    for index, found in enumerate(history[first + 3 :], first + 3):
        assert len(found) == 1
        assert holds(found[0], walker(index))
        zoom = SHAPE.network_hw[0] / found[0].height
        assert zoom > 5 * WHOLE_HW[0] / FRAME_HW[0]


@pytest.mark.parametrize(
    ("height", "speed"),
    [
        (40, 2),  # a distant walk
        (60, 4),
        (140, -12),  # running
        (60, 0),  # stays
    ],
)
def test_crops_do_not_jump(height: int, speed: float) -> None:
    tracker = new()
    found = [crops(step(tracker, [walker(index, height, speed, 1100 if speed < 0 else 100)])) for index in range(60)]
    steady = [each[0] for each in found[tracker.period + 5 :]]
    moves = [abs(b.x + b.width / 2 - a.x - a.width / 2 - speed) for a, b in pairwise(steady)]
    assert max(moves) <= 2.5
    assert max(abs(b.y - a.y) for a, b in pairwise(steady)) <= 2
    assert max(abs(b.height - a.height) for a, b in pairwise(steady)) <= 0.05 * steady[0].height


def test_whoever_enters_gets_a_crop_and_whoever_leaves_loses_it() -> None:
    tracker = new()
    for index in range(tracker.period + 5):
        step(tracker, [walker(index)])

    # Someone else comes in from the right.
    def second(index: int) -> Region | None:
        return clipped(Region(1300 - 5 * index, 300, 25, 70), Region.whole(FRAME_HW))

    both = []
    for index in range(40):
        people = [walker(index + tracker.period + 5), second(index)]
        both.append(len(crops(step(tracker, [each for each in people if each]))))
    assert both[0] == 1
    assert both[-1] == 2
    in_view = next(index for index in range(40) if (box := second(index)) and box.width == 25)
    assert both.index(2) <= in_view + tracker.period
    # And walks off again.
    gone = [len(crops(step(tracker, [walker(index + tracker.period + 45)]))) for index in range(PATIENCE + 2)]
    assert gone[-1] == 1


def test_a_crop_waits_for_whoever_is_lost_for_a_moment() -> None:
    tracker = new()
    for index in range(20):
        step(tracker, [walker(index)])
    (before,) = crops(step(tracker, []))
    for _ in range(PATIENCE):
        assert crops(step(tracker, [])) == [before]
    assert crops(step(tracker, [])) == []


def test_what_the_search_took_for_someone_costs_one_crop() -> None:
    tracker = new()
    looks = tracker.looks()
    tracker.see([[Region(500, 300, 20, 50)], *([] for _ in looks[1:])])
    looks = step(tracker, [])
    assert [look.pasted for look in looks if look.crop] == [False]
    assert looks[0] == Look(Region.whole(FRAME_HW), pasted=True, crop=False)
    assert crops(step(tracker, [])) == []


def test_the_whole_frame_counts_while_nobody_is_followed_and_every_place_is_searched() -> None:
    tracker = new()
    seen = [step(tracker, []) for _ in range(tracker.period)]
    whole = Region.whole(FRAME_HW)
    assert all(looks[0] == Look(whole, pasted=True, crop=False) for looks in seen)
    searched = [look.part for looks in seen for look in looks if not look.pasted]
    assert len(searched) == tracker.period - 1
    for x in range(0, 1280 - 36, 20):
        for y in range(0, 720 - 36, 20):
            assert any(holds(part, Region(x, y, 12, 36)) for part in searched)


def test_near_people_are_parsed_in_the_whole_frame() -> None:
    tracker = new()
    # As wide as the frame: no crop shows them larger.
    crowd = [Region(40 + 300 * number, 60, 290, 640) for number in range(4)]
    for _ in range(5):
        step(tracker, crowd)
    looks = step(tracker, crowd)
    assert looks[0].pasted
    assert looks[0].part == Region.whole(FRAME_HW)
    assert crops(looks) == []


def test_a_near_person_and_a_distant_one() -> None:
    tracker = new()
    people = [Region(0, 0, 900, 720), Region(1150, 300, 20, 60)]
    for _ in range(tracker.period + 2):
        looks = step(tracker, people)
    assert looks[0] == Look(Region.whole(FRAME_HW), pasted=True, crop=False)
    (crop,) = crops(looks)
    assert holds(crop, people[1])


@pytest.mark.parametrize("most", [1, 2, 4])
def test_more_people_than_crops_share_them(most: int) -> None:
    tracker = new(most)
    people = [Region(60 + 45 * number, 200 + 10 * number, 24, 70) for number in range(most + 3)]
    for _ in range(3 * tracker.period):
        looks = step(tracker, people)
        assert len(crops(looks)) <= most
    if most > 1:  # in one crop all would be too small to be found again
        assert all(any(holds(crop, box) for crop in crops(looks)) for box in people)


def test_a_scattered_crowd_is_parsed_in_the_whole_frame_but_for_those_who_are_followed() -> None:
    tracker = new(2)
    people = [Region(60 + 200 * number, 200 + 60 * number, 24, 70) for number in range(6)]
    for _ in range(tracker.period + 2):
        step(tracker, people)
    before = crops(step(tracker, people))
    for _ in range(2 * tracker.period):
        looks = step(tracker, people)
        assert looks[0] == Look(Region.whole(FRAME_HW), pasted=True, crop=False)
        assert crops(looks) == before


def test_people_who_meet_share_a_crop_and_part_again() -> None:
    tracker = new()
    counts = []
    for index in range(100):
        left, right = Region(300 + 4 * index, 400, 25, 80), Region(700 - 4 * index, 402, 25, 80)
        found = crops(step(tracker, [left, right]))
        counts.append(len(found))
        if index > tracker.period + 2:
            assert all(any(holds(crop, box) for crop in found) for box in (left, right))
    changes = sum(a != b for a, b in pairwise(counts[tracker.period + 2 :]))
    assert {counts[tracker.period + 2], counts[50], counts[-1]} == {1, 2}
    assert counts[50] == 1
    assert changes == 2


def test_nearer_people_come_later() -> None:
    tracker = new()
    far, near = Region(300, 250, 20, 60), Region(700, 300, 50, 150)
    for _ in range(tracker.period + 2):
        looks = step(tracker, [near, far])
    first, second = crops(looks)
    assert holds(first, far)
    assert holds(second, near)


@pytest.mark.parametrize(
    "box",
    [
        Region(0, 0, 20, 50),  # in a corner
        Region(1260, 670, 20, 50),  # in the opposite one
        Region(630, 0, 25, 700),  # as high as the frame
        Region(0, 350, 400, 30),  # lying, cut by the edge
    ],
)
def test_crops_stay_in_the_frame(box: Region) -> None:
    tracker = new()
    for _ in range(tracker.period + 3):
        for look in step(tracker, [box]):
            assert holds(Region.whole(FRAME_HW), look.part)
            assert min(look.part.size_hw) > 0


@pytest.mark.parametrize("frame_hw", [(1, 1), (3, 2000), (37, 41), (120, 160), (4320, 7680)])
def test_frames_of_any_size_are_covered(frame_hw: tuple[int, int]) -> None:
    tracker = new(shape=CropShape(frame_hw, (256, 192)))
    whole = Region.whole(frame_hw)
    covered = 0
    for _ in range(tracker.period):
        looks = tracker.looks()
        assert all(holds(whole, look.part) for look in looks)
        covered = max(covered, *(look.part.area for look in looks))
        tracker.see([[whole] if look.part == whole else [] for look in looks])
    assert covered == whole.area
