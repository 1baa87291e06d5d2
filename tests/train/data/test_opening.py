"""Opening datasets in the layouts they are distributed in, and their splits."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rtparse.errors import SourceError, UsageError
from rtparse.train.data import Dataset, open_dataset


def numbers(dataset: Dataset) -> list[int]:
    """The label of each pair, all pixels alike."""
    return [int(pair.labels[0, 0]) for pair in dataset]


def test_a_folder_comes_sorted(folder: Path) -> None:
    dataset = open_dataset(f"folder:{folder}")
    assert dataset.name == f"folder:{folder}"
    assert numbers(dataset) == [0, 1, 2, 3, 4, 5]
    assert dataset.paths(2) == (folder / "images" / "2.jpg", folder / "labels" / "2.png")
    assert numbers(dataset[1:3]) == [1, 2]
    assert numbers(open_dataset(f"folder:{folder}", "val")) == [0, 1, 2, 3, 4, 5]
    assert numbers(pickle.loads(pickle.dumps(dataset))) == [0, 1, 2, 3, 4, 5]


def test_held_out_and_train_share_nothing(folder: Path, write_pair) -> None:
    assert numbers(open_dataset(f"folder:{folder}", "held-out", 3)) == [0, 3]
    assert numbers(open_dataset(f"folder:{folder}", "train", 3)) == [1, 2, 4, 5]
    for number in range(6, 20):
        write_pair(folder / "images" / f"x{number:02}.png", folder / "labels" / f"x{number:02}.png", number)
    assert numbers(open_dataset(f"folder:{folder}", "held-out")) == [0, 14]


def test_a_folder_of_splits(tmp_path: Path, write_pair) -> None:
    for value, split in ((1, "train"), (2, "val")):
        write_pair(tmp_path / split / "images" / "a.png", tmp_path / split / "labels" / "a.png", value)
    for split, expected in (("train", [1]), ("val", [2]), ("held-out", [1])):
        assert numbers(open_dataset(f"folder:{tmp_path}", split)) == expected


@pytest.mark.parametrize(
    ("images", "labels", "lists"),
    [
        # as the archives are described
        ("TrainVal_images", "TrainVal_parsing_annotations", "."),
        ("TrainVal_images", "TrainVal_parsing_annotations", "TrainVal_images"),
        # unpacked each into a folder of its own name, which it holds already
        ("TrainVal_images/TrainVal_images", "TrainVal_parsing_annotations/TrainVal_parsing_annotations", "."),
        ("TrainVal_images/TrainVal_images", "TrainVal_parsing_annotations", "TrainVal_images"),
        (
            "TrainVal_images",
            "/".join(["TrainVal_parsing_annotations"] * 3),
            "TrainVal_images",
        ),
        # unpacked into one folder
        (".", ".", "."),
    ],
)
def test_lip(tmp_path: Path, write_pair, images: str, labels: str, lists: str) -> None:
    for split, values in (("train", (3, 1, 2)), ("val", (4,))):
        for value in values:
            write_pair(
                tmp_path / images / f"{split}_images" / f"{value}_0.jpg",
                tmp_path / labels / f"{split}_segmentations" / f"{value}_0.png",
                value,
            )
        (tmp_path / lists / f"{split}_id.txt").write_text("".join(f"{value}_0\n" for value in values))
    assert numbers(open_dataset(f"lip:{tmp_path}")) == [1, 2, 3]
    assert numbers(open_dataset(f"lip:{tmp_path}", "val")) == [4]
    assert numbers(open_dataset(f"lip:{tmp_path}", "held-out", 2)) == [1, 3]


def test_lips_list_decides(tmp_path: Path, write_pair) -> None:
    for value in (1, 2):
        write_pair(
            tmp_path / "TrainVal_images" / "train_images" / f"{value}.jpg",
            tmp_path / "TrainVal_parsing_annotations" / "train_segmentations" / f"{value}.png",
            value,
        )
    listed = tmp_path / "train_id.txt"
    listed.write_text("train_images/2.jpg train_segmentations/2.png\n\n")
    assert numbers(open_dataset(f"lip:{tmp_path}")) == [2]
    listed.write_text("2\n9\n")
    dataset = open_dataset(f"lip:{tmp_path}")
    with pytest.raises(SourceError, match=r"9\.jpg is missing"):
        dataset[1]
    listed.unlink()
    with pytest.raises(UsageError, match=r"no train_id\.txt in"):
        open_dataset(f"lip:{tmp_path}")
    listed.write_bytes(b"\xff\xfe1")
    with pytest.raises(UsageError, match=r"train_id\.txt cannot be read"):
        open_dataset(f"lip:{tmp_path}")


@pytest.mark.parametrize("around", ["", "instance-level_human_parsing", "instance-level_human_parsing/" * 2])
def test_cihp(tmp_path: Path, write_pair, around: str) -> None:
    for value, part in ((10, "Training"), (13, "Validation")):
        root = tmp_path / around / part
        write_pair(root / "Images" / "0000001.jpg", root / "Category_ids" / "0000001.png", value)
    assert numbers(open_dataset(f"cihp:{tmp_path}")) == [255]
    assert numbers(open_dataset(f"cihp:{tmp_path}", "val")) == [13]


@pytest.mark.parametrize("listed", ["train_id.txt", "list/train_id.txt", "lists/train.txt"])
def test_atr(tmp_path: Path, write_pair, listed: str) -> None:
    for value in (4, 11, 17):
        write_pair(
            tmp_path / "JPEGImages" / f"997_{value}.jpg", tmp_path / "SegmentationClassAug" / f"997_{value}.png", value
        )
    (tmp_path / listed).parent.mkdir(exist_ok=True)
    (tmp_path / listed).write_text("997_4\n997_11\n")
    assert numbers(open_dataset(f"atr:{tmp_path}")) == [13, 5]  # by name: 997_11 is the face
    with pytest.raises(UsageError, match=r"no val_id\.txt"):
        open_dataset(f"atr:{tmp_path}", "val")


def test_atr_without_lists_as_it_is_distributed(tmp_path: Path, write_pair) -> None:
    root = tmp_path / "humanparsing"
    for value in (4, 11, 17):
        write_pair(root / "JPEGImages" / f"997_{value}.jpg", root / "SegmentationClassAug" / f"997_{value}.png", value)
    assert numbers(open_dataset(f"atr:{tmp_path}")) == [13, 11, 5]
    assert numbers(open_dataset(f"atr:{tmp_path}", "held-out", 2)) == [13, 5]
    with pytest.raises(UsageError, match=r"no val_id\.txt in .*humanparsing; .* \(or judge with --split held-out\)"):
        open_dataset(f"atr:{tmp_path}", "val")
    (root / "val_id.txt").write_text("997_4\n")
    assert numbers(open_dataset(f"atr:{tmp_path}", "val")) == [5]
    with pytest.raises(UsageError, match=r"no train_id\.txt in .*humanparsing; expected a list of names, one a line$"):
        open_dataset(f"atr:{tmp_path}")


def test_files_that_macos_lays_beside_pictures_are_none(folder: Path) -> None:
    expected = len(open_dataset(f"folder:{folder}"))
    (folder / "images" / "._a.jpg").write_bytes(b"\0\5\x16\7")
    (folder / "labels" / "._a.png").write_bytes(b"\0\5\x16\7")
    assert len(open_dataset(f"folder:{folder}")) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("photos", "got the dataset 'photos'; expected KIND:PATH with KIND one of folder, lip, cihp, atr"),
        ("coco:photos", "got the dataset 'coco:photos'"),
        ("folder:", "got the dataset 'folder:'"),
        ("folder:nowhere", "nowhere is no folder"),
        ("folder:{}", "no pictures in .*images"),
        ("lip:{}", "has no folder train_images; expected .*TrainVal_images/train_images or"),
        ("cihp:{}", "has no folder Training/Images"),
        ("atr:{}", "has no folder JPEGImages"),
    ],
)
def test_what_is_no_dataset_is_said(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_dataset(spec.format(tmp_path))


def test_splits_that_cannot_be_meant(folder: Path) -> None:
    with pytest.raises(UsageError, match="no split 'test'; choose from: train, val, held-out"):
        open_dataset(f"folder:{folder}", "test")
    for hold_out in (1, -2):
        with pytest.raises(UsageError, match="held out; give 0 for none, or 2 or more"):
            open_dataset(f"folder:{folder}", "train", hold_out)
    for number in range(1, 6):
        (folder / "images" / f"{number}.jpg").unlink()
        (folder / "labels" / f"{number}.png").unlink()
    with pytest.raises(UsageError, match="no pictures for train"):
        open_dataset(f"folder:{folder}", "train", 2)
