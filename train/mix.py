"""What training sees: an endless, reproducible row of batches drawn from any number of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rtparse.errors import UsageError
from rtparse.train import augment
from rtparse.train.cache import Arrays, ByteCache
from rtparse.train.compose import Pair
from rtparse.train.crops import paper_crop, video_crop, window
from rtparse.train.data.dataset import Dataset
from rtparse.train.data.rendered import RenderedPeople
from rtparse.train.photos import Photos
from rtparse.train.scenes import backdrop, occluded, scene

MixStyle = Literal["video", "paper"]

CACHE_BYTES = 2 << 30

SCENES_AT_HAND = 512
BATCHES_A_SCENE = 4
"""Rendering costs more than all else. So rendered pictures are windows onto 512 scenes, of which one is exchanged for a
new one every fourth batch."""

SCENES = 0.54
"""Share of composed scenes among the pictures of `video` that come from photos; the rest are crops of one photo."""

_STRIDE = 1_000_003
_SCENE = 0x73636E65
"""Names the random stream of a scene, "scne": those of a batch's pictures are named by small numbers."""


@dataclass(frozen=True, eq=False)
class Batch:
    """images: (N, H, W, 3) uint8 BGR; labels: (N, H, W) uint8, ids 0..19 or 255. Both belong to the caller."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Mix:
    """Draws batches. A batch is a function of the seed and its index alone, whatever was drawn before and wherever.

        photos, people = open_dataset("folder:photos", hold_out=14), open_dataset("synthetic")
        reports = [check(photos), check(people)]
        mix = Mix([(photos, 0.87), (people, 0.13)], "video", seed, [report.present for report in reports])
        mix.batch(step, 16, (256, 192))

    Styles:

    video   crops at zoom 0.5 to 5, composed scenes of 0 to 9 people, rendered people before painted rooms and the
            photos' backgrounds; dyed garments, occlusion, light, blur, noise, compression, mirror. A part's weight is
            its share of the pictures; weights are normalized. Sizes are free.
    paper   every photo once an epoch, scale 0.5 to 1.5, rotation, crop or padding, mirror, and nothing else. A part's
            weight is how often an epoch shows each of its photos: 2 shows each twice, 0.5 a half of them. The count of
            `batch` must be the same throughout.

    Thread-safe. Picklable and safe to fork: what a process has cached stays in it.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Dataset, float]],
        style: MixStyle = "video",
        seed: int = 0,
        presence: Sequence[NDArray[np.bool_]] | None = None,
        cache_bytes: int = CACHE_BYTES,
        window_side: int | None = None,
    ) -> None:
        """parts: datasets and their weights, above 0.

        presence: `CheckReport.present` of each part in order; with it, `video` draws photos with rare classes more
            often. cache_bytes: of photos, inpainted backgrounds and rendered scenes that each process keeps.
        window_side: height and width of the part of each picture that `video` shows, see `crops.window`; None for all.
        Raises UsageError for a style, weight or window that cannot be meant.
        """
        if style not in get_args(MixStyle):
            raise UsageError(f"there is no style {style!r}", f"choose from: {', '.join(get_args(MixStyle))}")
        if style == "paper" and window_side is not None:
            raise UsageError("the paper's crops have no windows", "leave --window out, or use --style video")
        if not parts:
            raise UsageError("a mix of no datasets was asked for", "give at least one")
        for dataset, weight in parts:
            if not 0 < weight < np.inf:
                raise UsageError(f"the weight of {dataset.name} is {weight}", "expected a number above 0")
        files = [number for number, (dataset, _) in enumerate(parts) if not isinstance(dataset, RenderedPeople)]
        self._rendered = [(each, weight) for each, weight in parts if isinstance(each, RenderedPeople)]
        if style == "paper" and self._rendered:
            raise UsageError("rendered people have no end, so no epoch", "use the style video, or render a folder")
        known = None if presence is None else [presence[number] for number in files]
        self._cache = ByteCache(cache_bytes)
        self._photos = Photos([parts[number] for number in files], known, self._cache) if files else None
        self._rendered_share = sum(weight for _, weight in self._rendered) / sum(weight for _, weight in parts)
        self._style = style
        self._seed = seed
        self._window_side = window_side

    @property
    def epoch(self) -> int:
        """Pictures of an epoch: all photos once, by weight in `paper`. UsageError for rendered people alone."""
        if self._photos is None:
            raise UsageError("rendered people have no end, so no epoch", "say how many steps to train")
        return sum(_shown(self._photos)) if self._style == "paper" else len(self._photos)

    def batch(self, index: int, count: int, size_hw: tuple[int, int]) -> Batch:
        """`count` pictures of one size, or windows of them. Raises SourceError for a photo that cannot be read.

        index: 0 or more.
        """
        if self._style == "paper":
            pairs = self._paper(index * count, count, size_hw)
        else:
            pairs = [self._video(index, np.random.default_rng((self._seed, index, i)), size_hw) for i in range(count)]
        return Batch(np.stack([pair.image for pair in pairs]), np.stack([pair.labels for pair in pairs]))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The photos of an epoch of `paper` by number, over all parts in order; a function of seed and epoch."""
        photos = self._need_photos()
        rng = np.random.default_rng((self._seed, epoch))
        chosen, start = [], 0
        for size, shown in zip(photos.sizes, _shown(photos), strict=True):
            whole, rest = divmod(shown, size)
            chosen += [np.tile(np.arange(size), whole) + start, rng.permutation(size)[:rest] + start]
            start += size
        return rng.permutation(np.concatenate(chosen))

    def _paper(self, first: int, count: int, size_hw: tuple[int, int]) -> list[Pair]:
        photos = self._need_photos()
        size = self.epoch
        epochs = {epoch: self.order(epoch) for epoch in range(first // size, (first + count - 1) // size + 1)}
        pairs = []
        for number in range(first, first + count):
            rng = np.random.default_rng((self._seed, number, 1))
            photo = photos.pair(int(epochs[number // size][number % size]))
            pairs.append(augment.mirror(paper_crop(photo, rng, size_hw), rng))
        return pairs

    def _video(self, index: int, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        photos = self._photos
        if photos is None or rng.random() < self._rendered_share:
            pair = self._render(index, rng, size_hw)
        elif rng.random() < SCENES:
            pair = scene(photos, rng, size_hw)
        else:
            pair = video_crop(augment.recolor_garments(photos.pair(photos.pick(rng)), rng), rng, size_hw)
        if photos is not None and rng.random() < 0.25:
            pair = occluded(pair, photos, rng)
        pair = augment.mirror(pair, rng)
        pair = Pair(augment.camera(augment.light(pair.image, rng), rng), pair.labels)
        return pair if self._window_side is None else window(pair, rng, min(self._window_side, *size_hw))

    def _render(self, index: int, rng: np.random.Generator, size_hw: tuple[int, int]) -> Pair:
        weights = np.array([weight for _, weight in self._rendered])
        part = int(rng.choice(len(weights), p=weights / weights.sum()))
        number = index // BATCHES_A_SCENE + int(rng.integers(SCENES_AT_HAND))
        pair = Pair(*self._cache.get(("rendered", part, number), lambda: self._rendered_scene(part, number)))
        fill = max(size_hw[0] / pair.labels.shape[0], size_hw[1] / pair.labels.shape[1])
        zoom = rng.uniform(1.0, 1.4)
        reach = 0.5 - 0.5 / zoom
        centre = 0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach)
        return augment.view(pair, size_hw, fill * zoom, rng.normal(0, 5), centre)

    def _rendered_scene(self, part: int, number: int) -> Arrays:
        people = self._rendered[part][0]
        chosen = (self._seed * _STRIDE + number) % len(people)  # seeds are to see other scenes
        size_hw = people.size_hw(chosen)
        rng = np.random.default_rng((self._seed, number, _SCENE))
        behind = backdrop(self._photos, rng, size_hw) if self._photos and rng.random() < 0.5 else None
        pair = people.draw(chosen, size_hw, behind)
        return pair.image, pair.labels

    def _need_photos(self) -> Photos:
        if self._photos is None:
            raise UsageError("rendered people have no end, so no epoch", "use the style video")
        return self._photos


def _shown(photos: Photos) -> list[int]:
    """Pictures that an epoch of `paper` shows of each part."""
    return [max(round(size * weight), 1) for size, weight in zip(photos.sizes, photos.weights, strict=True)]
