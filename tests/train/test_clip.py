"""The example clip: drawn anew it is what examples/ holds, and nothing in it is ever drawn for training."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES
from rtparse.errors import SinkError
from rtparse.train.synthetic import clip_frames, recolored
from rtparse.train.synthetic.backdrop import BACKDROPS, CLIP_BACKDROP
from rtparse.train.synthetic.clip import (
    CLIP_FPS,
    CLIP_LENGTH,
    CLIP_OUTFIT,
    CLIP_SIZE_HW,
    clip_person,
    clip_sound,
    write_clip,
)
from rtparse.train.synthetic.material import CLIP_PATTERNS, PATTERNS, Material
from rtparse.train.synthetic.outfit import random_outfit


def materials_of(value: object) -> list[Material]:
    if isinstance(value, Material):
        return [value]
    if is_dataclass(value):
        return [m for f in fields(value) for m in materials_of(getattr(value, f.name))]
    return []


def test_the_clip_shares_no_pattern_or_backdrop_with_training() -> None:
    assert not set(CLIP_PATTERNS) & set(PATTERNS)
    assert CLIP_BACKDROP not in BACKDROPS
    garments = [m for m in materials_of(CLIP_OUTFIT) if m not in (CLIP_OUTFIT.skin, CLIP_OUTFIT.hair.material)]
    assert {m.pattern for m in garments} == set(CLIP_PATTERNS)
    rng = np.random.default_rng(0)
    drawn = {m.pattern for _ in range(300) for m in materials_of(random_outfit(rng))}
    assert drawn == set(PATTERNS)


def test_clip_frames_are_reproducible_and_show_the_story() -> None:
    first, second = (list(clip_frames([20, 100, 148])) for _ in range(2))
    assert all(np.array_equal(a.image_bgr, b.image_bgr) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(first, second, strict=True))
    walks_in, waves, turned_away = (scene.labels for scene in first)
    assert walks_in.shape == CLIP_SIZE_HW
    body_columns = np.nonzero(walks_in)[1]
    assert body_columns.mean() < 250
    arm_rows = np.nonzero(waves == CLASSES.index("right-arm"))[0]
    face_rows = np.nonzero(waves == CLASSES.index("face"))[0]
    assert arm_rows.min() < face_rows.mean()
    assert (turned_away == CLASSES.index("face")).sum() < 0.6 * face_rows.size
    assert len(range(CLIP_LENGTH)) / CLIP_FPS == 9


def test_recoloured_clothes_change_colours_not_labels() -> None:
    dyed = recolored(CLIP_OUTFIT, np.random.default_rng(3))
    (plain,), (other,) = clip_frames([100]), clip_frames([100], dyed)
    assert np.array_equal(plain.labels, other.labels)
    clothes = plain.labels == CLASSES.index("coat")
    face = cv2.erode((plain.labels == CLASSES.index("face")).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    difference = np.abs(plain.image_bgr.astype(int) - other.image_bgr).mean(2)
    assert difference[clothes].mean() > 20
    assert difference[face].mean() < 1
    assert dyed.skin == CLIP_OUTFIT.skin


def test_the_person_of_the_clip_never_jumps() -> None:
    times = np.arange(CLIP_LENGTH) / CLIP_FPS
    places = np.array([clip_person(t).place[0] for t in times])
    wrists = np.array([clip_person(t).pose.wrists for t in times])
    headings = np.array([clip_person(t).pose.heading for t in times])
    assert np.abs(np.diff(places)).max() < 1.3 / CLIP_FPS
    assert np.diff(places).min() >= 0
    assert np.abs(np.diff(wrists, axis=0)).max() < 0.2
    assert np.abs(np.diff(headings)).max() < 0.3


def test_the_clip_in_examples_is_the_one_that_is_drawn() -> None:
    path = Path(__file__).parents[2] / "examples" / "walk.mp4"
    assert path.stat().st_size <= 2_000_000
    wanted = [30, 110, 200]
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.height, video.width) == CLIP_SIZE_HW
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == CLIP_LENGTH
    for index, scene in zip(wanted, clip_frames(wanted), strict=True):
        error = np.abs(frames[index].astype(int) - scene.image_bgr).mean()
        assert error < 6, f"frame {index} of the file is not frame {index} of clip_frames"


def test_the_sound_has_footsteps_while_walking_only() -> None:
    sound = clip_sound(8000)
    assert sound.shape == (9 * 8000,)
    assert np.abs(sound).max() <= 1
    assert np.abs(sound[: 2 * 8000]).max() > 3 * np.abs(sound[int(5.7 * 8000) : int(6.6 * 8000)]).max()


def test_a_clip_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write"):
        write_clip(tmp_path / "missing" / "walk.mp4")
