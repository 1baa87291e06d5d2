"""Synthetic people: exact labels, true left and right, colours that tell nothing."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtparse.classes import CLASSES, mirror_labels
from rtparse.cli import main
from rtparse.errors import UsageError
from rtparse.train.synthetic import Camera, Light, Person, render, render_scene
from rtparse.train.synthetic.__main__ import command
from rtparse.train.synthetic.body import Body, Pose, skeleton
from rtparse.train.synthetic.figure import figure
from rtparse.train.synthetic.material import Material
from rtparse.train.synthetic.outfit import JUMPSUIT, UPPER, Hair, Legwear, Outfit, Shoes, Top, random_outfit
from rtparse.train.synthetic.poses import random_body, random_pose, walking
from rtparse.train.synthetic.raster import rasterize
from rtparse.train.synthetic.scene import seats

GREY = np.full((256, 192, 3), 128, np.uint8)
CAMERA = Camera((0.0, 1.2, 4.0), (0.0, 0.9, 0.0), 0.5)
PLAIN = Material("plain", ((0.5, 0.5, 0.5),))
BARE_LIMBS = Outfit(
    skin=PLAIN,
    hair=Hair("short", PLAIN),
    top=Top(UPPER, PLAIN, sleeve=0.3),
    legwear=Legwear(PLAIN, length=0.5),
    shoes=Shoes(PLAIN),
)


def class_id(name: str) -> int:
    return CLASSES.index(name)


def column_of(labels: np.ndarray, name: str) -> float:
    columns = np.nonzero(labels == class_id(name))[1]
    assert columns.size > 20, f"no {name}"
    return float(columns.mean())


@pytest.mark.parametrize("part", ["arm", "leg", "shoe"])
@pytest.mark.parametrize(
    ("heading", "left_is_right"),
    [
        (0.0, True),  # facing the camera: the person's left is on the picture's right
        (np.pi, False),  # seen from behind
        (0.5, True),  # turned a little
        (np.pi - 0.5, False),
    ],
)
def test_left_is_the_persons_own(part: str, heading: float, left_is_right: bool) -> None:
    labels = render([Person(BARE_LIMBS, pose=Pose(heading=heading))], CAMERA, GREY).labels
    assert (column_of(labels, f"left-{part}") > column_of(labels, f"right-{part}")) is left_is_right


def test_a_mirrored_pose_gives_mirrored_labels() -> None:
    pose = walking(1.0, 0.35)
    labels = render([Person(BARE_LIMBS, pose=pose)], CAMERA, GREY).labels
    other = render([Person(BARE_LIMBS, pose=pose.mirrored())], CAMERA, GREY).labels
    mirrored = mirror_labels(labels)
    for name in ("left-arm", "right-arm", "left-leg", "right-leg", "left-shoe", "right-shoe"):
        # One sample a pixel: edges may move by a pixel, the inner part of a limb may not.
        near = cv2.dilate((mirrored == class_id(name)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        limb = other == class_id(name)
        assert limb.sum() > 50
        assert near[limb].mean() > 0.98


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5, 4.0])
def test_the_lower_foot_stands_on_the_ground(phase: float) -> None:
    bones = skeleton(Body(), walking(phase))
    ankles = [float(limb.points[2, 1]) for limb in bones.legs]
    assert min(ankles) == pytest.approx(0.042 * 1.72, abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_bones_keep_their_length_in_every_pose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    body, pose = random_body(rng), random_pose(rng)
    for limbs in (skeleton(body, pose).arms, skeleton(body, pose).legs):
        lengths = np.array([np.linalg.norm(np.diff(limb.points, axis=0), axis=1) for limb in limbs])
        resting = skeleton(body, Pose())
        still = resting.arms if limbs[0].points[0, 1] > resting.hips[1] * 1.2 else None
        assert np.allclose(lengths[0], lengths[1], rtol=1e-3)
        if still is not None:
            assert np.allclose(lengths[0], np.linalg.norm(np.diff(still[0].points, axis=0), axis=1), rtol=1e-3)


def test_every_class_occurs() -> None:
    pixels = np.zeros(len(CLASSES), np.int64)
    for seed in range(60):
        labels = render_scene(np.random.default_rng(seed), (128, 96)).labels
        pixels += np.bincount(labels.ravel(), minlength=len(CLASSES))
    rare = [CLASSES[i] for i in np.flatnonzero(pixels < 100)]
    assert not rare
    assert 0.3 < pixels[0] / pixels.sum() < 0.9


def test_scenes_without_people_occur_and_are_all_background() -> None:
    empty = [s for s in range(60) if not render_scene(np.random.default_rng(s), (64, 48)).labels.any()]
    assert 1 <= len(empty) <= 12


@pytest.mark.parametrize("size_hw", [(256, 192), (176, 304), (97, 131)])
def test_size_types_and_determinism(size_hw: tuple[int, int]) -> None:
    first = render_scene(np.random.default_rng(5), size_hw)
    second = render_scene(np.random.default_rng(5), size_hw)
    other = render_scene(np.random.default_rng(6), size_hw)
    assert first.image_bgr.shape == (*size_hw, 3)
    assert first.labels.shape == size_hw
    assert first.image_bgr.dtype == first.labels.dtype == np.uint8
    assert np.array_equal(first.image_bgr, second.image_bgr)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.image_bgr, other.image_bgr)


def test_labels_are_where_the_colours_are() -> None:
    """Everything on the person glows red before black: red pixels and labels must be the same region."""
    red = Material("plain", ((0.0, 0.0, 1.0),), gloss=0.0, folds=0.0)

    def painted(value: object) -> object:
        if isinstance(value, Material):
            return red
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: painted(getattr(value, f.name)) for f in fields(value)})
        return value

    glow = Light(color=(0.0, 0.0, 0.0), sky=(1.0, 1.0, 1.0), ground=(1.0, 1.0, 1.0), shadow=0.0)
    black = np.zeros((256, 192, 3), np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        outfit = replace(random_outfit(rng), bag=None)
        person = Person(painted(outfit), random_body(rng), random_pose(rng))
        scene = render([person], CAMERA, black, glow)
        coverage = scene.image_bgr[..., 2] > 0
        body = scene.labels > 0
        # A labelled pixel has colour; a coloured pixel is labelled or lies on the edge.
        assert coverage[body].mean() > 0.995
        near = cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert near[coverage].all()


def test_the_nearer_person_hides_the_other() -> None:
    jumpsuit = replace(BARE_LIMBS, top=Top(JUMPSUIT, PLAIN, sleeve=1.9), legwear=Legwear(PLAIN, length=1.9))
    front, behind = Person(jumpsuit, place=(0.0, 0.5)), Person(BARE_LIMBS, place=(0.1, -0.5))
    both = render([behind, front], CAMERA, GREY).labels
    alone = render([front], CAMERA, GREY).labels
    assert np.array_equal(both[alone > 0], alone[alone > 0])
    assert np.count_nonzero(both) > np.count_nonzero(alone)


def test_clothes_do_not_let_skin_through() -> None:
    """A closed jumpsuit from neck to ankle shows no arm or leg skin beyond hands and feet."""
    suit = replace(BARE_LIMBS, top=Top(JUMPSUIT, PLAIN, sleeve=1.95, neckline=0.0), legwear=Legwear(PLAIN, length=1.97))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels = render([Person(suit, pose=replace(random_pose(rng), heading=seed))], CAMERA, GREY).labels
        legs = np.isin(labels, [class_id("left-leg"), class_id("right-leg")]).sum()
        arms = np.isin(labels, [class_id("left-arm"), class_id("right-arm")]).sum()
        assert legs == 0
        assert arms < 0.12 * np.count_nonzero(labels)


def test_seats_are_background_and_only_for_sitters() -> None:
    rng = np.random.default_rng(0)
    sitting = Pose(ankles=((0.1, -0.5, 0.45), (-0.1, -0.5, 0.45)), knees=((0.2, 1.0, 0.6), (-0.2, 1.0, 0.6)))
    chair = seats(Person(BARE_LIMBS, pose=sitting), rng)
    assert chair
    assert not any(mesh.labels.any() for mesh in chair)
    assert seats(Person(BARE_LIMBS), rng) == []
    free = render([Person(BARE_LIMBS, pose=sitting)], CAMERA, GREY)
    seated = render([Person(BARE_LIMBS, pose=sitting)], CAMERA, GREY, things=chair)
    assert np.count_nonzero(free.labels) >= np.count_nonzero(seated.labels) > 0.7 * np.count_nonzero(free.labels)


def test_depth_decides_not_the_order_of_faces() -> None:
    mesh = figure(Person(BARE_LIMBS))
    hits = rasterize(mesh, CAMERA, (128, 96))
    order = np.random.default_rng(0).permutation(len(mesh.faces))
    shuffled = replace(
        mesh,
        faces=mesh.faces[order],
        labels=mesh.labels[order],
        material=mesh.material[order],
        two_sided=mesh.two_sided[order],
    )
    again = rasterize(shuffled, CAMERA, (128, 96))
    assert np.array_equal(hits.pixel, again.pixel)
    assert (mesh.labels[hits.face] == shuffled.labels[again.face]).mean() > 0.999
    assert hits.weights.sum(1) == pytest.approx(1, abs=1e-4)


def test_garments_of_all_classes_have_the_same_hues() -> None:
    """Colour must not tell the class: hue histograms of garments differ no more than samples of one distribution do."""
    hues: dict[str, list[float]] = {}
    rng = np.random.default_rng(0)
    for _ in range(3000):
        outfit = random_outfit(rng)
        worn = {
            CLASSES[outfit.top.label]: outfit.top.material,
            "coat": outfit.coat and outfit.coat.material,
            "pants": outfit.legwear.material if outfit.legwear and outfit.top.label == UPPER else None,
            "hat": outfit.hat and outfit.hat.material,
            "scarf": outfit.scarf,
            "glove": outfit.gloves,
            "sunglasses": outfit.sunglasses,
            "shoes": outfit.shoes and outfit.shoes.material,
            "socks": outfit.socks and outfit.socks.material,
        }
        for name, material in worn.items():
            if material is not None:
                bgr = np.array([[material.colors[0]]], np.float32)
                hues.setdefault(name, []).append(float(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)[0, 0, 0]))
    shares = {name: np.histogram(h, bins=6, range=(0, 360))[0] / len(h) for name, h in hues.items()}
    assert len(shares) == 11
    for name, share in shares.items():
        assert np.abs(share - 1 / 6).max() < 0.06, f"{name} prefers a hue: {share}"


def test_a_photo_can_be_the_background_and_is_kept() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)
    before = photo.copy()
    scene = render([Person(BARE_LIMBS)], CAMERA, photo, Light(shadow=0.0))
    assert np.array_equal(photo, before)
    assert scene.labels.shape == (300, 200)
    assert render_scene(np.random.default_rng(0), (128, 96), photo).image_bgr.shape == (128, 96, 3)


@pytest.mark.parametrize(
    "background",
    [
        np.zeros((20, 20), np.uint8),  # grey
        np.zeros((20, 20, 3), np.float32),  # not uint8
    ],
)
def test_another_background_is_refused(background: np.ndarray) -> None:
    with pytest.raises(UsageError, match="expected uint8"):
        render([], CAMERA, background)


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the module's command line."""
    monkeypatch.setattr("sys.argv", ["synthetic", *arguments])
    with pytest.raises(SystemExit) as end:
        main(command)
    return int(end.value.code or 0)


def test_command_line_writes_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(["pairs", str(tmp_path / "out"), "-n", "3", "--size", "64x48", "--seed", "4"], monkeypatch) == 0
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == [f"{kind}/{i:04}.{end}" for kind, end in (("images", "jpg"), ("labels", "png")) for i in range(3)]
    expected = render_scene(np.random.default_rng((4, 2)), (64, 48)).labels
    stored = cv2.imread(str(tmp_path / "out/labels/0002.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored, expected)


def test_command_line_refuses_clearly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended(["pairs", str(tmp_path), "--size", "huge"], monkeypatch) == 2
    assert "expected HxW" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert ended(["pairs", str(tmp_path / "file")], monkeypatch) == 1
    assert "cannot make folders" in capsys.readouterr().err
