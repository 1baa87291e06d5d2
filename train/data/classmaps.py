"""What the ids of public datasets mean in the 20 LIP classes.

Left and right are the person's own in LIP and CIHP, and ATR is read the same way, so mirroring a picture exchanges
left and right parts of all three alike (`rtparse.classes.MIRROR_PAIRS`), after the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import CLASSES, IGNORE_LABEL

IGNORED = "ignored"
UNKNOWN = 254
"""What `ClassMap.lut` gives for ids that the dataset does not have."""


@dataclass(frozen=True)
class ClassMap:
    """A dataset's ids as LIP's.

    names: what the dataset calls its ids, in order. lip: the LIP class of each, or "ignored" for 255.
    """

    name: str
    names: tuple[str, ...]
    lip: tuple[str, ...]

    @cached_property
    def lut(self) -> NDArray[np.uint8]:
        """(256,) uint8: the LIP id of each id; 255 stays 255, ids that the dataset does not have become UNKNOWN."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[: len(self.lip)] = [IGNORE_LABEL if name == IGNORED else CLASSES.index(name) for name in self.lip]
        table[IGNORE_LABEL] = IGNORE_LABEL
        return table


LIP = ClassMap("LIP", CLASSES, CLASSES)

CIHP = ClassMap(
    "CIHP",
    tuple("torso-skin" if name == "jumpsuits" else name for name in CLASSES),
    tuple(IGNORED if name == "jumpsuits" else name for name in CLASSES),
)
"""LIP's ids but for 10, which is bare skin of neck and trunk instead of jumpsuits (Gong et al., ECCV 2018): LIP has no
class for it, so it is ignored, and CIHP shows no jumpsuits."""

_ATR = (
    ("background", "background"),
    ("hat", "hat"),
    ("hair", "hair"),
    ("sunglasses", "sunglasses"),
    ("upper-clothes", "upper-clothes"),
    ("skirt", "skirt"),
    ("pants", "pants"),
    ("dress", "dress"),
    ("belt", IGNORED),
    ("left-shoe", "left-shoe"),
    ("right-shoe", "right-shoe"),
    ("face", "face"),
    ("left-leg", "left-leg"),
    ("right-leg", "right-leg"),
    ("left-arm", "left-arm"),
    ("right-arm", "right-arm"),
    ("bag", "background"),
    ("scarf", "scarf"),
)
ATR = ClassMap("ATR", tuple(name for name, _ in _ATR), tuple(lip for _, lip in _ATR))
"""The 18 ids of Liang et al. (TPAMI 2015). ATR lacks glove, coat, socks and jumpsuits: its upper-clothes hold coats
too. A bag is background in LIP; a belt lies on what LIP calls pants, skirt or dress, and is ignored."""
