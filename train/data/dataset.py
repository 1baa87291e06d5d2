"""A row of labelled pictures that are read when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from rtparse.train.compose import Pair
from rtparse.train.data.classmaps import LIP, ClassMap
from rtparse.train.data.read import read_pair


class Dataset(Sequence[Pair]):
    """Pairs by number, read or rendered on every access and owned by the caller; a slice is a Dataset too.

    name: for messages. Picklable and thread-safe.
    """

    name: str

    @abstractmethod
    def paths(self, index: int) -> tuple[Path, ...]:
        """The files of a pair, picture first; none where it is rendered."""

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    @abstractmethod
    def __getitem__(self, index: int | slice) -> Pair | Dataset: ...


class PairFiles(Dataset):
    """Pairs of picture and label files. Reading one raises SourceError naming the file that is wrong."""

    def __init__(self, name: str, files: Sequence[tuple[Path, Path]], classes: ClassMap = LIP) -> None:
        self.name = name
        self._files = files
        self._classes = classes

    def paths(self, index: int) -> tuple[Path, ...]:
        return self._files[index]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Pair | Dataset:
        if isinstance(index, slice):
            return PairFiles(self.name, self._files[index], self._classes)
        return read_pair(*self._files[index], self._classes)
