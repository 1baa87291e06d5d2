"""What people do with a parsing: hide, replace, recolour and cut out. Each effect is a function of (image, parsing).

image: (H, W, 3) uint8 BGR, of the size of the parsing's labels: `parsing.frame.image`, or what another effect made of
it. The result is a new array of the caller's of the same size, (H, W, 3) uint8 BGR; `cutout` adds alpha as a fourth
channel, and therefore comes last. Classes are names of `parsing.classes`. All are thread-safe, keep nothing between
frames, and raise UsageError for an unknown class and for an image of another shape or dtype.
"""

from __future__ import annotations

from rtparse.effects.background import blur_background, replace_background
from rtparse.effects.hide import blur, pixelate
from rtparse.effects.matte import cutout
from rtparse.effects.spec import Effect, EffectChain, parse_effects
from rtparse.effects.tint import recolour

__all__ = [
    "Effect",
    "EffectChain",
    "blur",
    "blur_background",
    "cutout",
    "parse_effects",
    "pixelate",
    "recolour",
    "replace_background",
]
