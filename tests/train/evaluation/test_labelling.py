"""Labels with doubt, and the folder that they are gathered in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse import Parser
from rtparse.classes import CLASSES, NUM_CLASSES
from rtparse.engines import open_engine
from rtparse.engines.fake import FakeEngine
from rtparse.errors import UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.data import open_dataset
from rtparse.train.evaluation.confidence import ConfidentEngine
from rtparse.train.evaluation.labelling import RECORD, LabelledFolder, Method, confident_labels, pictures_in

FACE = CLASSES.index("face")
METHOD = Method("tiny", "00", "auto", True, (1.0, 1.4), 0.5)


def surer_to_the_right(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of the face from 0.05 in the first column to 0.95 in the last."""
    height, width = batch.shape[2] // 2, batch.shape[3] // 2
    face = np.linspace(0.05, 0.95, width)
    logits = np.repeat(np.log((1 - face) / 19)[None, None, None], NUM_CLASSES, 1).repeat(height, 2)
    logits[:, FACE] = np.log(face)
    return logits.astype(np.float32).repeat(len(batch), 0)


@pytest.mark.parametrize("confidence", [0.2, 0.5, 0.9])
def test_doubtful_pixels_are_ignored(confidence: float) -> None:
    with Parser(ConfidentEngine(FakeEngine(surer_to_the_right), confidence), size=(32, 64)) as parser:
        labels = confident_labels(parser, np.zeros((64, 128, 3), np.uint8))
    # Pixel centres at half-pixels of a grid of 32 columns, the outermost repeated.
    column = np.clip((np.arange(128) + 0.5) / 4 - 0.5, 0, 31)
    sure = 0.05 + 0.9 * column / 31 >= confidence
    assert (labels == np.where(sure, FACE, 255)).all()


def test_no_confidence_is_asked_for() -> None:
    with Parser(FakeEngine(surer_to_the_right), size=(32, 64)) as parser:
        assert (confident_labels(parser, np.zeros((64, 128, 3), np.uint8)) != 255).all()


def test_probabilities_are_the_engines(tiny_onnx: Path) -> None:
    batch = np.random.default_rng(0).normal(0, 1, (2, 3, 32, 32)).astype(np.float32)
    with ConfidentEngine(open_engine(tiny_onnx, "onnxruntime"), 0.25) as engine:
        found = engine.infer(batch)
    assert found.shape == (2, NUM_CLASSES + 1, 16, 16)
    assert found[:, :-1].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (found[:, -1] == 0.25).all()


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"confidence 1\.5"):
        ConfidentEngine(FakeEngine(np.zeros((8, 8), np.uint8)), 1.5)
    other = ModelMetadata(classes=("background", "person"), palette_rgb=((0, 0, 0), (255, 0, 0)))
    with (
        Parser(FakeEngine(np.zeros((8, 8), np.uint8), metadata=other)) as parser,
        pytest.raises(UsageError, match="classes of its own"),
    ):
        confident_labels(parser, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="no pictures in"):
        pictures_in(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        pictures_in(tmp_path / "nowhere")


def test_pictures_are_found_by_name_also_within_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.JPG", "a.png", "c.webp", ".hidden.png", "notes.txt"):
        (folder / name).write_bytes(b"")
    assert [path.name for path in pictures_in(folder)] == ["a.png", "b.JPG", "c.webp"]
    assert pictures_in(tmp_path) == pictures_in(folder)
    (folder / "a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"a\.jpg and a\.png would both be labelled a\.png"):
        pictures_in(tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), np.full((40, 30, 3), 7, np.uint8))
    return path


def test_the_folder_is_a_dataset(tmp_path: Path, picture: Path) -> None:
    root = tmp_path / "new" / "labelled"
    folder = LabelledFolder(root, METHOD)
    labels = np.full((40, 30), FACE, np.uint8)
    labels[0] = 255
    assert not folder.has_label(picture)
    folder.write_label(picture, labels)
    folder.add_picture(picture)
    assert folder.has_label(picture)
    (pair,) = open_dataset(f"folder:{root}")
    assert (pair.labels == labels).all()
    assert (pair.image == 7).all()
    assert (root / "images/one.png").samefile(picture)  # a hard link costs no space
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == sorted([RECORD, "one.png", "one.png"])


def test_going_on_and_not_mixing_methods(tmp_path: Path, picture: Path) -> None:
    root = tmp_path / "labelled"
    LabelledFolder(root, METHOD).write_label(picture, np.zeros((40, 30), np.uint8))
    assert LabelledFolder(root, METHOD).has_label(picture)
    with pytest.raises(UsageError, match=r"made with confidence 0\.5, not 0\.7"):
        LabelledFolder(root, replace(METHOD, confidence=0.7))
    with pytest.raises(UsageError, match="made with sha256 00, not 11"):
        LabelledFolder(root, replace(METHOD, sha256="11"))
    (root / RECORD).write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        LabelledFolder(root, METHOD)
    (root / RECORD).unlink()
    with pytest.raises(UsageError, match="were not made here"):
        LabelledFolder(root, METHOD)


def test_another_picture_of_the_same_name_is_not_taken_for_it(tmp_path: Path, picture: Path) -> None:
    folder = LabelledFolder(tmp_path / "labelled", METHOD)
    folder.add_picture(picture)
    folder.add_picture(picture)
    other = tmp_path / "other" / picture.name
    other.parent.mkdir()
    cv2.imwrite(str(other), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UsageError, match="is another picture"):
        folder.add_picture(other)
