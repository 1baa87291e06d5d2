"""The bytes at the other end of the pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np
import pytest

from rtparse.errors import SinkError
from rtparse.frame import Frame
from rtparse.parsing import Parsing
from rtparse.sinks import RawLabelsSink


def read_all(descriptor: int, into: list[bytes]) -> None:
    with os.fdopen(descriptor, "rb") as pipe:
        into.append(pipe.read())


def test_a_frame_is_its_labels_row_after_row_and_nothing_else() -> None:
    labels = [np.random.default_rng(seed).integers(0, 20, (480, 640), np.uint8) for seed in range(3)]
    got: list[bytes] = []
    read, write = os.pipe()  # holds 64 KiB, less than a frame: writes come in parts
    reader = threading.Thread(target=read_all, args=(read, got))
    reader.start()
    sink = RawLabelsSink(write)
    for each in labels:
        sink.write(Parsing(Frame(np.zeros((480, 640, 3), np.uint8)), each))
    sink.write(Parsing(Frame(np.zeros((480, 640, 3), np.uint8)), np.asfortranarray(labels[0])))
    sink.finish()
    os.close(write)
    reader.join(10)
    assert np.array_equal(np.frombuffer(got[0], np.uint8).reshape(4, 480, 640), [*labels, labels[0]])


def test_another_size_is_fitted_into_the_first_one(numbered: Callable[..., Parsing]) -> None:
    got: list[bytes] = []
    read, write = os.pipe()
    reader = threading.Thread(target=read_all, args=(read, got))
    reader.start()
    sink = RawLabelsSink(write)
    sink.write(numbered(3, (40, 80)))
    sink.write(numbered(7, (90, 60)))
    os.close(write)
    reader.join(10)
    first, second = np.frombuffer(got[0], np.uint8).reshape(2, 40, 80)
    assert (first == 3).all()
    assert set(np.unique(second)) == {0, 7}  # no class between the two
    assert (second[:, 27:53] == 7).all()
    assert (second[:, :26] == 0).all()


def test_a_reader_that_goes_away_is_an_error_in_one_line(numbered: Callable[..., Parsing]) -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(SinkError, match="nobody reads the labels from stdout any more"):
        RawLabelsSink(write, "stdout").write(numbered(0))
    os.close(write)
