"""Streams that follow people, with a network that sees what is bright and not too small."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parser, Parsing, UsageError
from rtparse.engines.fake import FakeEngine
from rtparse.metadata import ModelMetadata
from rtparse.sources.base import SourceInfo

FACE = CLASSES.index("face")
METADATA = ModelMetadata()
SIZE_HW = (360, 640)


class Sees:
    """An answer of a FakeEngine: bright squares of 20 pixels of its input and more are a face. Counts its inputs."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(batch.shape)
        logits = np.zeros((len(batch), 20, batch.shape[2] // 2, batch.shape[3] // 2), np.float32)
        for picture, answer in zip(batch, logits, strict=True):
            bright = (picture[1] * METADATA.std[1] + METADATA.mean[1] > 0.6).astype(np.uint8)
            seen = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((20, 9), np.uint8))
            answer[0] = 5
            answer[FACE] = np.where(seen[::2, ::2] > 0, 15, -5)
        return logits


def someone(x: float, y: float = 200, height: int = 30, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.uint8]:
    """A frame with a bright person who is half as wide as high; nobody where x lies outside."""
    image = np.full((*size_hw, 3), 40, np.uint8)
    left, top = round(x), round(y)
    image[max(top, 0) : top + height, max(left, 0) : max(left + height // 2, 0)] = 220
    return image


def truth(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return image[:, :, 1] > 150


def iou(parsing: Parsing) -> float:
    expected, found = truth(parsing.frame.image), parsing.labels == FACE
    return float((expected & found).sum() / max((expected | found).sum(), 1))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("rtparse")]


def follow(frames: object, sees: Sees | None = None, **options: object) -> list[Parsing]:
    with Parser(FakeEngine(sees or Sees()), follow=True, **options) as parser:  # type: ignore[arg-type]
        return list(parser.stream(frames))


def test_a_distant_person_is_seen_when_followed_only() -> None:
    frames = [someone(100 + 3 * i) for i in range(30)]
    with Parser(FakeEngine(Sees())) as plain:
        assert max(iou(parsing) for parsing in plain.stream(frames)) == 0
    parsings = follow(frames)
    assert [parsing.frame.index for parsing in parsings] == list(range(30))
    found = [iou(parsing) for parsing in parsings]
    first = next(i for i, value in enumerate(found) if value > 0)
    assert first <= 10
    assert min(found[first:]) > 0.85


def test_it_is_found_again_after_a_cut_within_a_period() -> None:
    one = [someone(100) for _ in range(15)]
    other = [255 - someone(100) // 2 for _ in range(3)]  # bright everywhere
    third = [someone(500, 80) for _ in range(15)]
    found = [iou(parsing) for parsing in follow([*one, *other, *third])]
    assert found[14] > 0.85
    assert max(found[18 : 18 + 11]) > 0.85
    assert min(found[29:]) > 0.85


def test_frames_that_change_their_size() -> None:
    frames = [someone(100) for _ in range(12)] + [someone(100, 100, 20, (241, 319)) for _ in range(12)]
    parsings = follow(frames)
    assert [parsing.labels.shape for parsing in parsings] == [frame.shape[:2] for frame in frames]
    assert iou(parsings[11]) > 0.85
    assert iou(parsings[-1]) > 0.7


def test_each_source_has_its_own_people() -> None:
    left, right = ([someone(x + 3 * i) for i in range(20)] for x in (60, 420))
    for batch in (1, 4):
        engine = FakeEngine(Sees())
        engine.batch = batch
        with Parser(engine, follow=True) as parser:
            parsings = list(parser.stream([iter(left), iter(right)]))
        for source, frames in enumerate((left, right)):
            its = [parsing for parsing in parsings if parsing.frame.source == source]
            alone = follow(frames)
            for one, other in zip(its, alone, strict=True):
                np.testing.assert_array_equal(one.labels, other.labels)


def test_several_people_are_one_batch() -> None:
    sees = Sees()
    frames = [np.maximum(np.maximum(someone(80 + i), someone(300, 100)), someone(520 - i, 290)) for i in range(20)]
    parsings = follow(frames, sees)
    assert iou(parsings[-1]) > 0.85
    upright = [shape for shape in sees.batches if shape[2] > shape[3]]
    assert max(shape[0] for shape in upright) == 3
    assert len(sees.batches) <= 2 * len(frames)


def test_in_a_region_people_are_followed_within_it() -> None:
    frames = [np.maximum(someone(400 + i), someone(50, 100)) for i in range(20)]
    parsings = follow(frames, roi="320,0,320,360")
    for parsing in parsings:
        assert not parsing.labels[:, :320].any()
    inside = truth(frames[-1])[:, 320:]
    assert ((parsings[-1].labels[:, 320:] == FACE) & inside).sum() > 0.85 * inside.sum()


def test_an_engine_of_fixed_sizes_gets_no_other() -> None:
    sees = Sees()
    engine = FakeEngine(sees, sizes=((176, 304), (256, 192)))
    frames = [someone(100 + 3 * i) for i in range(20)]
    with Parser(engine, follow=True) as parser:
        assert iou(list(parser.stream(frames))[-1]) > 0.85
    assert {shape[2:] for shape in sees.batches} == {(176, 304), (256, 192)}
    sees = Sees()
    assert iou(follow(frames, sees, size="192x256")[-1]) > 0.85
    assert {shape[2:] for shape in sees.batches} == {(192, 256)}


def test_of_a_live_source_the_newest_frame_is_followed() -> None:
    class Camera:
        """Someone walks by in 2 s; the network is slower than the camera."""

        info = SourceInfo("camera", live=True)
        damage = ()

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *raised: object) -> None:
            self.close()

        def __iter__(self) -> Iterator[Frame]:
            for index in range(200):
                time.sleep(0.01)
                yield Frame(someone(100 + index, 200), pts=index / 100, index=index)

        def close(self) -> None:
            pass

    class Slow(Sees):
        def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            time.sleep(0.01 * len(batch))
            return super().__call__(batch)

    with Parser(FakeEngine(Slow()), follow=True) as parser, parser.stream(Camera()) as stream:
        parsings = list(stream)
        assert stream.dropped == 200 - len(parsings) > 50
    assert [parsing.frame.index for parsing in parsings] == sorted({parsing.frame.index for parsing in parsings})
    assert max(iou(parsing) for parsing in parsings) > 0.85


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 500), (37, 41), (121, 67)])
def test_odd_sizes(size_hw: tuple[int, int]) -> None:
    frames = [np.full((*size_hw, 3), value, np.uint8) for value in (0, 255, 255, 255, 0)]
    assert [parsing.labels.shape for parsing in follow(frames)] == [size_hw] * 5


def test_images_and_batches_are_parsed_whole() -> None:
    sees = Sees()
    with Parser(FakeEngine(sees), follow=True) as parser:
        parser(someone(100))
        parser.batch([someone(100)] * 2)
    assert [shape[0] for shape in sees.batches] == [1, 2]


def test_what_cannot_be_together_is_refused() -> None:
    with pytest.raises(UsageError, match="got follow and smooth"):
        Parser(FakeEngine(Sees()), follow=True, smooth=0.5)
    with pytest.raises(UsageError, match="follow and the devices 0, 1"):
        Parser("model.plan", follow=True, device=(0, 1))
