"""Effects as the command line writes them, one after another in place of a view."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtparse.effects.background import blur_background, cover, replace_background
from rtparse.effects.hide import blur, pixelate
from rtparse.effects.matte import cutout
from rtparse.effects.tint import recolour
from rtparse.errors import RtparseError, UsageError

if TYPE_CHECKING:
    from rtparse.parsing import Parsing

Effect = Callable[[NDArray[np.uint8], "Parsing"], NDArray[np.uint8]]
"""(image, parsing) -> image; what the functions here are once `functools.partial` has bound their options."""

_SIZES = 8
_SYNTAX = {
    "background": "background:blur, background:#00ff00 or background:PICTURE",
    "blur": "blur:face,hair",
    "cutout": "cutout or cutout:face,hair",
    "pixelate": "pixelate:face",
    "recolour": "recolour:hair=#aa3300",
}


@dataclass(frozen=True)
class EffectChain:
    """Effects in their order, as one view of a parsing for the sinks. Thread-safe.

    classes: those that the effects name, for a check before any work.
    alpha: whether the result has alpha: (H, W, 4) uint8 BGRA instead of (H, W, 3) uint8 BGR.
    """

    effects: tuple[Effect, ...]
    classes: tuple[str, ...] = ()
    alpha: bool = False

    def __call__(self, parsing: Parsing) -> NDArray[np.uint8]:
        image = parsing.frame.image
        for effect in self.effects:
            image = effect(image, parsing)
        return image


def parse_effects(texts: Sequence[str]) -> EffectChain:
    """The effects that texts name, in order: NAME or NAME:ARGUMENT, by the table in docs/video.md.

    Reads the pictures they name. Raises UsageError for a text that is none of these, a colour that is none, a picture
    that cannot be read, and an effect after a cut-out. Classes are not checked: they are the model's.
    """
    effects: list[Effect] = []
    classes: list[str] = []
    alpha = False
    for text in texts:
        if alpha:
            raise UsageError(f"the effect {text} comes after a cut-out", "put cutout last")
        name, _, argument = text.partition(":")
        if name not in _SYNTAX:
            raise UsageError(f"there is no effect {name!r}", f"choose from: {', '.join(_SYNTAX)}")
        if name == "background":
            effects.append(_background(text, argument))
            continue
        names, colour = argument, ""
        if name == "recolour":
            names, _, colour = argument.rpartition("=")
        chosen = tuple(each.strip() for each in names.split(",")) if names else ()
        if not all(chosen) or not (chosen or text == "cutout"):
            raise _misspelt(text, name)
        classes += chosen
        if name == "recolour":
            effects.append(partial(recolour, classes=chosen, colour_bgr=_colour_bgr(text, name, colour)))
        elif name == "cutout":
            effects.append(partial(cutout, classes=chosen or None))
            alpha = True
        else:
            effects.append(partial({"blur": blur, "pixelate": pixelate}[name], classes=chosen))
    return EffectChain(tuple(effects), tuple(classes), alpha)


def _misspelt(text: str, name: str) -> UsageError:
    return UsageError(f"the effect {text} cannot be understood", f"expected {_SYNTAX[name]}")


def _colour_bgr(text: str, name: str, colour: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise _misspelt(text, name)
    red, green, blue = bytes.fromhex(colour[1:])
    return blue, green, red


def _background(text: str, argument: str) -> Effect:
    if argument == "blur":
        return blur_background
    if argument.startswith("#"):
        return partial(replace_background, background=_colour_bgr(text, "background", argument))
    if not argument:
        raise _misspelt(text, "background")
    # Scaled once for each size of frame, not for each frame.
    fitted = lru_cache(maxsize=_SIZES)(partial(cover, _picture(Path(argument))))

    def effect(image: NDArray[np.uint8], parsing: Parsing) -> NDArray[np.uint8]:
        return replace_background(image, parsing, fitted(parsing.frame.size_hw))

    return effect


def _picture(path: Path) -> NDArray[np.uint8]:
    from rtparse.sources import open_source

    if not path.is_file():
        raise UsageError(f"there is no picture {path} for the background", f"expected {_SYNTAX['background']}")
    try:
        with open_source(path) as source:
            frames = [frame.image for frame in source] if source.info.frame_count == 1 else []
    except RtparseError as error:
        raise UsageError(f"the background cannot be read: {error.message}", "give a picture, such as a .jpg") from None
    if len(frames) != 1:
        raise UsageError(f"the background {path} is no single picture", "give a picture, such as a .jpg")
    return frames[0]
