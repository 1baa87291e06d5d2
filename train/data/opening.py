"""From what the command line says to a dataset."""

from __future__ import annotations

from pathlib import Path

from rtparse.errors import UsageError
from rtparse.train.data.classmaps import ATR, CIHP, LIP
from rtparse.train.data.dataset import Dataset, PairFiles
from rtparse.train.data.layouts import atr_files, cihp_files, folder_files, lip_files
from rtparse.train.data.rendered import RenderedPeople

KINDS = {
    "folder": (folder_files, LIP),
    "lip": (lip_files, LIP),
    "cihp": (cihp_files, CIHP),
    "atr": (atr_files, ATR),
}
"""How each kind of dataset is laid out, and what its ids mean."""

SPLITS = ("train", "val", "held-out")

HOLD_OUT = 14
"""Every 14th picture of train is held out where nothing else is said."""


def has_own_val(spec: str) -> bool:
    """Whether a dataset's val is of other pictures than its train. Raises as `open_dataset` does for its val."""
    val = open_dataset(spec, "val")
    try:
        train = open_dataset(spec)
    except UsageError:  # only val is there
        return True
    return isinstance(val, RenderedPeople) or val.paths(0) != train.paths(0)


def open_dataset(spec: str, split: str = "train", hold_out: int = 0) -> Dataset:
    """Open a dataset; no picture is read.

    spec: KIND:PATH with KIND folder, lip, cihp or atr, or `synthetic` for rendered people without end.
    split: train; val; or held-out, every `hold_out`-th picture of train by file name, from the first on (every 14th
        where hold_out is 0), to select models by. A plain folder of images/ and labels/ is its own val.
    hold_out: what `train` leaves out; 0 leaves nothing out.

    Raises UsageError for a spec that names no dataset, or one of another layout.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split {split!r}", f"choose from: {', '.join(SPLITS)}")
    if hold_out < 0 or hold_out == 1:
        raise UsageError(f"one picture in {hold_out} was to be held out", "give 0 for none, or 2 or more")
    if spec == "synthetic":
        return RenderedPeople(SPLITS.index(split))
    kind, _, path = spec.partition(":")
    if kind not in KINDS or not path:
        raise UsageError(
            f"got the dataset {spec!r}", f"expected KIND:PATH with KIND one of {', '.join(KINDS)}, or synthetic"
        )
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UsageError(f"{root} is no folder", f"expected the folder of the dataset: {kind}:PATH")
    files_of, classes = KINDS[kind]
    files = files_of(root, "val" if split == "val" else "train")
    if split == "held-out":
        files = files[:: hold_out or HOLD_OUT]
    elif split == "train" and hold_out:
        files = [pair for number, pair in enumerate(files) if number % hold_out]
    if not files:
        raise UsageError(f"{spec} has no pictures for {split}", "hold out fewer pictures, or give a larger dataset")
    return PairFiles(spec, files, classes)
