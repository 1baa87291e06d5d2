"""The class maps as a whole."""

from __future__ import annotations

import pytest

from rtparse.classes import CLASSES, MIRROR_PAIRS
from rtparse.train.data import ATR, CIHP, LIP, ClassMap
from rtparse.train.data.classmaps import IGNORED


@pytest.mark.parametrize("classes", [LIP, CIHP, ATR], ids=lambda each: each.name)
def test_every_id_has_a_class_and_sides_stay(classes: ClassMap) -> None:
    assert len(classes.names) == len(classes.lip) == {"LIP": 20, "CIHP": 20, "ATR": 18}[classes.name]
    assert set(classes.lip) <= {*CLASSES, IGNORED}
    sides = {CLASSES[i] for pair in MIRROR_PAIRS for i in pair}
    for name, lip in zip(classes.names, classes.lip, strict=True):
        assert name == lip or name in {"torso-skin", "belt", "bag"}
    assert sides <= set(classes.lip)


def test_what_the_others_lack() -> None:
    assert set(CLASSES) - set(CIHP.lip) == {"jumpsuits"}
    assert set(CLASSES) - set(ATR.lip) == {"glove", "coat", "socks", "jumpsuits"}
