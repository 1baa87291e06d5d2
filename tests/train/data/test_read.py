"""Reading one pair: what is accepted, and what is named."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rtparse.errors import SourceError
from rtparse.sources.images import read_image
from rtparse.train.data import ATR, CIHP, LIP, read_pair

IDS = np.arange(200, dtype=np.uint8).reshape(20, 10) % 20


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    image, label = tmp_path / "1.jpg", tmp_path / "1.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (20, 10, 3), np.uint8))
    cv2.imwrite(str(label), IDS)
    return image, label


def test_a_pair_comes_whole(pair: tuple[Path, Path]) -> None:
    read = read_pair(*pair)
    assert read.image.shape == (20, 10, 3)
    assert read.image.dtype == read.labels.dtype == np.uint8
    np.testing.assert_array_equal(read.labels, IDS)


def test_the_indices_of_a_palette_are_the_ids(pair: tuple[Path, Path]) -> None:
    for bits in (8, 4):
        ids = IDS.clip(max=2**bits - 1)
        picture = Image.frombytes("P", (10, 20), ids.tobytes())
        picture.putpalette([255 - i // 3 for i in range(3 * 2**bits)])
        picture.save(pair[1], bits=bits)
        np.testing.assert_array_equal(read_pair(*pair).labels, ids)


def test_ids_in_three_equal_channels_are_ids(pair: tuple[Path, Path]) -> None:
    cv2.imwrite(str(pair[1]), np.repeat(IDS[:, :, None], 3, 2))
    np.testing.assert_array_equal(read_pair(*pair).labels, IDS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        # another size than the picture's
        (np.zeros((8, 9), np.uint8), r"1\.png is 9x8, its picture .*1\.jpg is 10x20"),
        # an id that LIP does not have
        (np.full((20, 10), 20, np.uint8), r"1\.png holds the ids \[20\]; LIP has 0\.\.19 and 255"),
        # the marker of unknown ids is one itself
        (np.full((20, 10), 254, np.uint8), r"holds the ids \[254\]"),
        # a picture of the classes instead of the classes
        (np.dstack([IDS, IDS, IDS * 2]), r"1\.png holds colours"),
        # ids that OpenCV would scale down to 0
        (IDS.astype(np.uint16), r"1\.png has 16 bits a pixel"),
    ],
)
def test_wrong_labels_are_named(pair: tuple[Path, Path], labels: NDArray[np.uint8], message: str) -> None:
    cv2.imwrite(str(pair[1]), labels)
    with pytest.raises(SourceError, match=message):
        read_pair(*pair)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_named(pair: tuple[Path, Path], bits: int) -> None:
    # OpenCV spreads it: a mask of ones would come as 255, which is ignored.
    ids = (IDS % 2**bits).reshape(20, 10)
    packed = np.packbits(np.unpackbits(np.pad(ids, ((0, 0), (0, 6)))[:, :, None], axis=2)[:, :, -bits:].reshape(20, -1))
    rows = b"".join(b"\0" + row.tobytes() for row in packed.reshape(20, -1)[:, : -(-10 * bits // 8)])

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 10, 20, bits, 0, 0, 0, 0)
    png = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    pair[1].write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    assert cv2.imread(str(pair[1]), cv2.IMREAD_UNCHANGED).max() == 255  # it is a sound picture
    with pytest.raises(SourceError, match=rf"1\.png has {bits} bits a pixel; expected 8-bit ids"):
        read_pair(*pair)


@pytest.mark.parametrize("which", [0, 1])
def test_unreadable_files_are_named(pair: tuple[Path, Path], which: int) -> None:
    path = pair[which]
    unknown = ("is not an image that can be decoded", "cannot be read as a picture")[which]
    for content, problem in ((b"no picture" * 10, unknown), (b"", "cut short at 0 bytes")):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=rf"{path.name} .*{problem}"):
            read_pair(*pair)
    path.unlink()
    with pytest.raises(SourceError, match=rf"{path.name} is missing"):
        read_pair(*pair)
    path.mkdir()
    with pytest.raises(SourceError, match=rf"{path.name} cannot be read \(Is a directory\)"):
        read_pair(*pair)


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_was_cut_short_is_named(pair: tuple[Path, Path], which: int) -> None:
    # Decoders fill the rest of such a JPEG with grey and say nothing.
    content = pair[which].read_bytes()
    pair[which].write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SourceError, match=pair[which].name):
        read_pair(*pair)


def test_a_broken_palette_picture_is_named(pair: tuple[Path, Path]) -> None:
    picture = Image.frombytes("P", (10, 20), IDS.tobytes())
    picture.putpalette([7] * 768)
    picture.save(pair[1])
    content = pair[1].read_bytes()
    pair[1].write_bytes(content[:40])
    with pytest.raises(SourceError, match=r"1\.png cannot be read as a picture"):
        read_pair(*pair)


def test_ids_become_lips(pair: tuple[Path, Path]) -> None:
    ids = np.zeros((20, 10), np.uint8)
    ids[0, :6] = 10, 14, 4, 8, 16, 255
    cv2.imwrite(str(pair[1]), ids)
    for classes, expected in (
        (LIP, (10, 14, 4, 8, 16, 255)),
        # torso-skin is ignored, the rest is LIP's
        (CIHP, (255, 14, 4, 8, 16, 255)),
        # right shoe, left arm, upper-clothes, belt, bag
        (ATR, (19, 14, 5, 255, 0, 255)),
    ):
        labels = read_pair(*pair, classes).labels
        assert tuple(labels[0, :6]) == expected
        assert (labels[1:] == 0).all()
    ids[0, 0] = 18
    cv2.imwrite(str(pair[1]), ids)
    with pytest.raises(SourceError, match=r"holds the ids \[18\]; ATR has 0\.\.17"):
        read_pair(*pair, ATR)


def test_a_picture_is_read_as_every_other_command_reads_it(tmp_path: Path) -> None:
    image, label = tmp_path / "1.png", tmp_path / "2.png"
    cut_out = np.full((8, 6, 4), 40, np.uint8)
    cut_out[:4, :, 3] = 0  # what lies under a cut-out is not to be seen
    cut_out[4:, :, 3] = 255
    cv2.imwrite(str(image), cut_out)
    cv2.imwrite(str(label), np.zeros((8, 6), np.uint8))
    pair = read_pair(image, label)
    assert np.array_equal(pair.image, read_image(image))
    assert (pair.image[0] == 255).all()
    assert (pair.image[7] == 40).all()
