"""Where datasets keep their pictures and labels. Each function lists (picture, label) paths, sorted by name.

The files themselves are looked at when they are read or checked. Raises UsageError for a folder of another layout.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rtparse.errors import UsageError
from rtparse.sources.images import image_files

Files = list[tuple[Path, Path]]


def pair_paths(folder: Path) -> Files:
    """A folder with images/ and labels/: the label is the PNG of the same stem."""
    return _beside(folder / "images", folder / "labels")


def folder_files(root: Path, split: str) -> Files:
    """ROOT/images and ROOT/labels, which are every split, or ROOT/train and ROOT/val with those inside."""
    if any((root / name / "images").is_dir() for name in ("train", "val")):
        return pair_paths(root / split)
    return pair_paths(root)


def lip_files(root: Path, split: str) -> Files:
    """LIP as distributed.

    TrainVal_images/{train,val}_images and TrainVal_parsing_annotations/{train,val}_segmentations, with train_id.txt
    and val_id.txt in TrainVal_images or ROOT. The archives hold a folder of their own name, so a name may be doubled.
    """
    images, labels = (
        _find(root, outer, f"{split}_{inner}")
        for outer, inner in (("TrainVal_images", "images"), ("TrainVal_parsing_annotations", "segmentations"))
    )
    listed = [folder / f"{split}_id.txt" for folder in (root, images.parent, images.parent.parent)]
    return _named(_id_list(listed), images, labels)


def cihp_files(root: Path, split: str) -> Files:
    """CIHP's instance-level_human_parsing: {Training,Validation}/Images and Category_ids beside it.

    ROOT is that folder or the one around it. Its id lists name all pictures of the folders, so they are not needed.
    """
    part = {"train": "Training", "val": "Validation"}[split]
    images = _find(root, "instance-level_human_parsing", f"{part}/Images")
    return _beside(images, images.parent / "Category_ids")


def atr_files(root: Path, split: str) -> Files:
    """ATR: JPEGImages and SegmentationClassAug, all of them train; it is distributed without lists of its splits.

    {train,val}_id.txt or {train,val}.txt that somebody laid beside them or in list(s) is followed.
    """
    images = _find(root, "humanparsing", "JPEGImages")
    folder = images.parent
    labels = folder / "SegmentationClassAug"
    listed = {name: _lists((folder, folder / "list", folder / "lists"), name) for name in ("train", "val")}
    if split == "train" and not any(path.is_file() for paths in listed.values() for path in paths):
        return _beside(images, labels)
    return _named(
        _id_list(listed[split], " (or judge with --split held-out)" if split == "val" else ""), images, labels
    )


def _find(root: Path, doubled: str, wanted: str) -> Path:
    """The folder `wanted` in ROOT or within up to three folders `doubled` of ROOT."""
    folder = root
    tried = []
    for _ in range(4):
        tried.append(folder / wanted)
        if tried[-1].is_dir():
            return tried[-1]
        folder = folder / doubled
    raise UsageError(f"{root} has no folder {wanted}", f"expected {tried[1]} or {tried[0]}")


def _lists(folders: Iterable[Path], split: str) -> list[Path]:
    return [folder / name for folder in folders for name in (f"{split}_id.txt", f"{split}.txt")]


def _id_list(paths: list[Path], instead: str = "") -> list[str]:
    """Stems, sorted, of the first list that is there: a name a line, with or without its folder and suffix.

    instead: ends the error where there is none.
    """
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        missing = f"there is no {paths[0].name} in {paths[0].parent}"
        raise UsageError(missing, f"expected a list of names, one a line{instead}")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error})", "expected a list of names, one a line") from None
    names_listed = (PurePosixPath(line.split()[0]).name for line in lines if line.strip())
    return sorted({name.removesuffix(".jpg").removesuffix(".png") for name in names_listed})


def _named(stems: list[str], images: Path, labels: Path) -> Files:
    return [(images / f"{stem}.jpg", labels / f"{stem}.png") for stem in stems]


def _beside(images: Path, labels: Path) -> Files:
    found = image_files(images)
    if not found:
        raise UsageError(f"no pictures in {images}", f"expected {images}/*.jpg and {labels}/*.png")
    named = {image.stem for image in found}
    # A label without a picture is listed too: the check is to name the one that is missing.
    alone = (path for path in labels.glob("*.png") if path.stem not in named and path.name[0] != ".")
    return sorted(
        [(image, labels / f"{image.stem}.png") for image in found]
        + [(images / f"{path.stem}.jpg", path) for path in alone]
    )
