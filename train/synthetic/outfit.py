"""What a person wears, as values, and a wardrobe to draw them from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtparse.classes import CLASSES
from rtparse.train.synthetic.material import Material, random_hair, random_material, random_skin

UPPER, DRESS, JUMPSUIT = (CLASSES.index(name) for name in ("upper-clothes", "dress", "jumpsuits"))


@dataclass(frozen=True)
class Hair:
    """kind: bald, short, afro, bob, long, bun or ponytail. volume: thickness, metres. length, beard: 0..1."""

    kind: str
    material: Material
    volume: float = 0.02
    length: float = 0.5
    beard: float = 0.0


@dataclass(frozen=True)
class Top:
    """Cloth on the torso. label: upper-clothes, dress or jumpsuits. ease: looseness, metres. sleeve: 0 none to 2 at the
    wrist. neckline: depth below the neck, metres; pointed: V or round. hem: metres below the hips."""

    label: int
    material: Material
    ease: float = 0.012
    sleeve: float = 0.5
    neckline: float = 0.05
    pointed: bool = False
    hem: float = 0.02


@dataclass(frozen=True)
class Legwear:
    """Cloth around each leg (trousers, shorts, tights). length: 0.3 shorts to 2 ankle; ease: metres at the hem."""

    material: Material
    ease: float = 0.012
    length: float = 1.95


@dataclass(frozen=True)
class Skirt:
    """Cloth around both legs. length as in Legwear; flare: metres that the hem is wider; pleats: folds around it."""

    material: Material
    length: float = 0.8
    flare: float = 0.06
    pleats: int = 8


@dataclass(frozen=True)
class Coat:
    """ease: looseness over the top, metres. length: 0 hips to 1.6 calf. gap: half opening at the front, radians (0 is
    buttoned up). sleeve as in Top."""

    material: Material
    ease: float = 0.015
    length: float = 0.2
    gap: float = 0.4
    sleeve: float = 1.95
    collar: bool = True


@dataclass(frozen=True)
class Hat:
    """kind: beanie, cap, brim or bucket."""

    kind: str
    material: Material
    size: float = 1.0


@dataclass(frozen=True)
class Shoes:
    """shaft: height above the ankle in leg lengths (0 low shoe to 0.9 high boot). heel: metres."""

    material: Material
    shaft: float = 0.0
    heel: float = 0.0


@dataclass(frozen=True)
class Socks:
    """height: above the ankle in shin lengths."""

    material: Material
    height: float = 0.4


@dataclass(frozen=True)
class Outfit:
    """Everything on a person. What is None is not worn; a dress or jumpsuit is a Top with that label and a skirt or
    legwear of the same material."""

    skin: Material
    hair: Hair
    top: Top
    legwear: Legwear | None = None
    skirt: Skirt | None = None
    coat: Coat | None = None
    hat: Hat | None = None
    sunglasses: Material | None = None
    scarf: Material | None = None
    gloves: Material | None = None
    socks: Socks | None = None
    shoes: Shoes | None = None
    bag: Material | None = None


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Dress someone; rare classes come more often than in life."""

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    kind = str(rng.choice(("separates", "skirt", "dress", "jumpsuit"), p=(0.52, 0.16, 0.18, 0.14)))
    cloth = random_material(rng)
    label = {"dress": DRESS, "jumpsuit": JUMPSUIT}.get(kind, UPPER)
    top = Top(
        label,
        cloth,
        ease=between(0.004, 0.03),
        sleeve=float(
            rng.choice((0.0, between(0.25, 0.7), between(0.9, 1.5), between(1.8, 1.97)), p=(0.15, 0.3, 0.15, 0.4))
        ),
        neckline=between(0.0, 0.13),
        pointed=chance(0.4),
        hem=between(-0.06, 0.1) if kind == "separates" else -0.05,
    )
    legwear: Legwear | None = None
    skirt: Skirt | None = None
    lengths = (between(0.35, 1.0), between(1.2, 1.7), between(1.8, 1.97))
    if kind in ("separates", "jumpsuit"):
        length = float(rng.choice(lengths, p=(0.25, 0.12, 0.63)))
        material = cloth if kind == "jumpsuit" else random_material(rng)
        legwear = Legwear(
            material, ease=float(rng.choice((between(0.002, 0.008), between(0.008, 0.05)))), length=length
        )
    else:
        material = cloth if kind == "dress" else random_material(rng)
        length = float(rng.choice((between(0.45, 1.0), between(1.0, 1.85)), p=(0.7, 0.3)))
        skirt = Skirt(material, length=length, flare=between(0.0, 0.16), pleats=int(rng.integers(0, 14)))
        if chance(0.3):
            legwear = Legwear(random_material(rng), ease=0.003, length=1.97)

    coat = None
    if chance(0.4):
        coat = Coat(
            random_material(rng),
            ease=between(0.006, 0.025),
            length=float(rng.choice((between(0.0, 0.3), between(0.4, 1.5)), p=(0.55, 0.45))),
            gap=0.0 if chance(0.3) else between(0.15, 1.0),
            sleeve=0.0 if chance(0.1) else between(1.6, 1.97),
            collar=chance(0.6),
        )
    hat_kind = str(rng.choice(("beanie", "cap", "brim", "bucket")))
    return Outfit(
        random_skin(rng),
        random_hair_style(rng),
        top,
        legwear,
        skirt,
        coat,
        hat=Hat(hat_kind, random_material(rng), between(0.9, 1.15)) if chance(0.25) else None,
        sunglasses=random_material(rng) if chance(0.2) else None,
        scarf=random_material(rng) if chance(0.2) else None,
        gloves=random_material(rng) if chance(0.18) else None,
        socks=Socks(random_material(rng), between(0.1, 0.85)) if chance(0.45) else None,
        shoes=None
        if chance(0.08)
        else Shoes(
            random_material(rng), shaft=between(0.1, 0.85) if chance(0.2) else 0.0, heel=max(0.0, between(-0.08, 0.07))
        ),
        bag=random_material(rng) if chance(0.2) else None,
    )


def random_hair_style(rng: np.random.Generator) -> Hair:
    kind = str(
        rng.choice(
            ("bald", "short", "afro", "bob", "long", "bun", "ponytail"), p=(0.08, 0.3, 0.08, 0.16, 0.2, 0.08, 0.1)
        )
    )
    volume = rng.uniform(0.04, 0.09) if kind == "afro" else rng.uniform(0.008, 0.03)
    beard = float(rng.uniform(0.2, 0.9)) if kind in ("bald", "short", "afro") and rng.random() < 0.3 else 0.0
    return Hair(kind, random_hair(rng), float(volume), float(rng.uniform(0.1, 1)), beard)
