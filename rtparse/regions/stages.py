"""The stages of a stream that follows people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtparse.engines import Engine
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.pipeline import Stage
from rtparse.preprocess import Letterbox, preprocess
from rtparse.profiling import nvtx_range
from rtparse.regions.crop import CropShape
from rtparse.regions.cuts import CutDetector
from rtparse.regions.paste import Patch, paste
from rtparse.regions.people import find_people
from rtparse.regions.tracker import Look, Tracker

CROPS = 4
"""Crops in one frame at most, with engines that gain nothing from batches: each costs a run of the network. Engines
that do get as many as they like to run together, where that is more."""

BATCH = 8
"""Most parts that go through the engine at once: more cost memory and gain no speed."""

UPRIGHT_HW = (4, 3)
"""The aspect ratio of crops where the engine takes any: a person with an arm's length around."""


class FollowStages:
    """One stage looks and finds out where to look next, the other makes labels; each in a thread of a `Pipeline`.

    The first works on the network's own grid, so it holds the next frame no longer than the network itself does.
    Belongs to one stream; there is a tracker for each of its sources, which starts anew at a cut and where the size of
    the frames changes.
    """

    def __init__(
        self,
        engine: Engine,
        network_hw: Callable[[tuple[int, int]], tuple[int, int]],
        shown: Callable[[Frame], NDArray[np.uint8]],
        upsampled: Callable[[Letterbox, NDArray[np.float32]], NDArray[np.uint8]],
        parsing: Callable[[Frame, NDArray[np.uint8]], Parsing],
    ) -> None:
        """network_hw: of the input for pictures of a size. shown: the pixels of a frame that are looked at.

        upsampled: labels of a picture from its logits. parsing: of a frame and the labels of what is shown of it.
        """
        self._engine = engine
        self._network_hw = network_hw
        self._shown = shown
        self._upsampled = upsampled
        self._parsing = parsing
        self._most = max(CROPS, engine.batch)
        self._crop_hw = network_hw(UPRIGHT_HW)
        self._trackers: dict[int, tuple[tuple[int, int], Tracker]] = {}
        self._cuts: defaultdict[int, CutDetector] = defaultdict(CutDetector)
        self.stages = [Stage(self._look), Stage(self._paste)]

    def _look(self, frames: list[Frame]) -> list[_Seen]:
        """One frame of each of several sources; their parts share runs of the engine."""
        images = [self._shown(frame) for frame in frames]
        trackers = [self._tracker(frame.source, image) for frame, image in zip(frames, images, strict=True)]
        looks = [tracker.looks() for tracker in trackers]
        places = [[self._letterbox(look, image) for look in its] for its, image in zip(looks, images, strict=True)]
        flat = [
            (look.part.crop(image), place)
            for its, boxes, image in zip(looks, places, images, strict=True)
            for look, place in zip(its, boxes, strict=True)
        ]
        logits = iter(self._infer(flat))
        seen = []
        for frame, tracker, its, boxes in zip(frames, trackers, looks, places, strict=True):
            answers = [_Answer(look, place, next(logits)) for look, place in zip(its, boxes, strict=True)]
            with nvtx_range("track"):
                tracker.see(
                    [
                        find_people(
                            each.logits, each.letterbox, each.look.part, tracker.smallest, each.look.probability
                        )
                        for each in answers
                    ]
                )
            seen.append(_Seen(frame, [each for each in answers if each.look.pasted]))
        return seen

    def _paste(self, batch: list[_Seen]) -> list[Parsing]:
        parsings = []
        for seen in batch:
            with nvtx_range("postprocess"):
                patches = [
                    Patch(
                        each.look.part,
                        self._upsampled(each.letterbox, each.logits),
                        each.logits,
                        each.letterbox,
                        each.look.crop,
                    )
                    for each in seen.answers
                ]
                height, width = self._shown(seen.frame).shape[:2]
                labels = paste((height, width), patches)
            parsings.append(self._parsing(seen.frame, labels))
        return parsings

    def _tracker(self, source: int, image: NDArray[np.uint8]) -> Tracker:
        frame_hw = image.shape[0], image.shape[1]
        cut = self._cuts[source](image)
        if cut or self._trackers[source][0] != frame_hw:
            shape = CropShape(frame_hw, self._crop_hw)
            self._trackers[source] = frame_hw, Tracker(shape, self._network_hw(frame_hw), self._most)
        return self._trackers[source][1]

    def _letterbox(self, look: Look, image: NDArray[np.uint8]) -> Letterbox:
        frame_hw = image.shape[0], image.shape[1]
        return Letterbox.fit(look.part.size_hw, self._crop_hw if look.crop else self._network_hw(frame_hw))

    def _infer(self, pictures: list[tuple[NDArray[np.uint8], Letterbox]]) -> list[NDArray[np.float32]]:
        """Pictures, each where it lies in the network's input, to their logits; those of one size in batches."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, (_, box) in enumerate(pictures):
            groups[box.network_hw].append(i)
        logits: dict[int, NDArray[np.float32]] = {}
        for network_hw, group in groups.items():
            for first in range(0, len(group), BATCH):
                part = group[first : first + BATCH]
                batch = np.empty((len(part), 3, *network_hw), np.float32)
                with nvtx_range("preprocess"):
                    for i, network_input in zip(part, batch, strict=True):
                        preprocess(*pictures[i], self._engine.metadata, network_input)
                with nvtx_range("engine"):
                    logits.update(zip(part, self._engine.infer(batch), strict=True))
        return [logits[i] for i in range(len(pictures))]


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What the network said of a part."""

    look: Look
    letterbox: Letterbox
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame half-way: the answers whose labels are pasted."""

    frame: Frame
    answers: list[_Answer]
