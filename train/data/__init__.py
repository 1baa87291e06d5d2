"""Labelled pictures: layouts of public datasets, their class maps, rendered people, and the check before training."""

from rtparse.train.data.check import CheckReport, check
from rtparse.train.data.classmaps import ATR, CIHP, LIP, ClassMap
from rtparse.train.data.dataset import Dataset, PairFiles
from rtparse.train.data.layouts import pair_paths
from rtparse.train.data.opening import HOLD_OUT, KINDS, SPLITS, has_own_val, open_dataset
from rtparse.train.data.read import read_pair
from rtparse.train.data.rendered import RenderedPeople

__all__ = [
    "ATR",
    "CIHP",
    "HOLD_OUT",
    "KINDS",
    "LIP",
    "SPLITS",
    "CheckReport",
    "ClassMap",
    "Dataset",
    "PairFiles",
    "RenderedPeople",
    "check",
    "has_own_val",
    "open_dataset",
    "pair_paths",
    "read_pair",
]
