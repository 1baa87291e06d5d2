"""Effects as text: what is understood, and what is refused with one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import CLASSES, Frame, Parsing, UsageError
from rtparse.effects import blur, blur_background, cutout, parse_effects, pixelate, recolour, replace_background


@pytest.fixture
def given() -> Parsing:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    labels = np.zeros((60, 80), np.uint8)
    labels[10:30, 30:50] = CLASSES.index("hair")
    labels[30:50, 30:50] = CLASSES.index("face")
    return Parsing(Frame(image), labels)


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["blur:face,hair"], ("face", "hair")),
        (["pixelate: face , hair"], ("face", "hair")),
        (["background:blur"], ()),
        (["background:#00ff80"], ()),
        (["recolour:hair=#AA3300"], ("hair",)),
        (["cutout"], ()),
        (["cutout:hair"], ("hair",)),
        (["recolour:hair=#aa3300", "pixelate:face", "background:#000000"], ("hair", "face")),
    ],
)
def test_a_text_is_the_function_of_its_name(given: Parsing, texts: list[str], classes: tuple[str, ...]) -> None:
    image = given.frame.image
    expected: dict[str, NDArray[np.uint8]] = {
        "blur:face,hair": blur(image, given, ["face", "hair"]),
        "pixelate: face , hair": pixelate(image, given, ["face", "hair"]),
        "background:blur": blur_background(image, given),
        "background:#00ff80": replace_background(image, given, (0x80, 255, 0)),
        "recolour:hair=#AA3300": recolour(image, given, ["hair"], (0, 0x33, 0xAA)),
        "cutout": cutout(image, given),
        "cutout:hair": cutout(image, given, ["hair"]),
        "background:#000000": replace_background(
            pixelate(recolour(image, given, ["hair"], (0, 0x33, 0xAA)), given, ["face"]), given, (0, 0, 0)
        ),
    }
    chain = parse_effects(texts)
    np.testing.assert_array_equal(chain(given), expected[texts[-1]])
    assert chain.classes == classes
    assert chain.alpha == texts[-1].startswith("cutout")


def test_a_picture_is_the_background_of_frames_of_every_size(given: Parsing, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (45, 100, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "beach: blue.png"), picture)
    chain = parse_effects([f"background:{tmp_path / 'beach: blue.png'}"])
    for height, width in ((60, 80), (45, 100), (200, 30)):
        resized = cv2.resize(given.frame.image, (width, height))
        labels = cv2.resize(given.labels, (width, height), interpolation=cv2.INTER_NEAREST)
        each = Parsing(Frame(resized), labels)
        for _ in range(2):
            np.testing.assert_array_equal(chain(each), replace_background(resized, each, picture))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["glow:face"], "no effect 'glow'; choose from: background, blur, cutout, pixelate, recolour"),
        (["blur"], "blur cannot be understood; expected blur:face,hair"),
        (["blur:"], "blur: cannot be understood"),
        (["blur:face,,hair"], "expected blur:face,hair"),
        (["cutout:"], "expected cutout or cutout:face,hair"),
        (["recolour:hair"], "expected recolour:hair=#aa3300"),
        (["recolour:hair=red"], "expected recolour:hair=#aa3300"),
        (["recolour:=#aa3300"], "expected recolour:hair=#aa3300"),
        (["background"], "expected background:blur, background:#00ff00 or background:PICTURE"),
        (["background:#00ff0"], "expected background:blur"),
        (["background:none.jpg"], "no picture none.jpg for the background"),
        (["background:http://host/a.jpg"], "no picture http:/+host/a.jpg"),  # nothing is fetched
        (["background:words.png"], "the background cannot be read: words.png"),
        (["background:clip.mkv"], "clip.mkv is no single picture"),
        (["cutout", "blur:face"], "blur:face comes after a cut-out; put cutout last"),
        (["cutout", "cutout"], "put cutout last"),
    ],
)
def test_what_cannot_be_meant(
    texts: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_clip
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.png").write_text("no picture")
    if "clip.mkv" in texts[0]:
        make_clip("clip.mkv", frames=3)
    with pytest.raises(UsageError, match=message) as caught:
        parse_effects(texts)
    assert "\n" not in str(caught.value)
