from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtparse.errors import SourceError, UsageError
from rtparse.sources.images import ImageSource, read_image

RGB = np.zeros((40, 60, 3), np.uint8)
RGB[:20, :30], RGB[:20, 30:], RGB[20:, :30] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
BGR = RGB[:, :, ::-1]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".avif"])
def test_common_files(tmp_path: Path, suffix: str) -> None:
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), BGR)
    got = read_image(tmp_path / f"a{suffix}")
    assert got.shape == (40, 60, 3)
    assert got.dtype == np.uint8
    # away from the edges, where lossy formats ring
    np.testing.assert_allclose(got[10::20, 15::30].astype(int), BGR[10::20, 15::30], atol=12)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(RGB[:, :, 0]), np.repeat(RGB[:, :, :1], 3, axis=2)),  # grey
        (Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE), BGR),  # palette
        (Image.fromarray(np.full((2, 3), 65535, np.uint16)), np.full((2, 3, 3), 255)),  # 16-bit grey
        (Image.new("RGBA", (3, 2), (0, 0, 0, 51)), np.full((2, 3, 3), 204)),  # alpha over white
        (Image.new("LA", (3, 2), (0, 51)), np.full((2, 3, 3), 204)),  # grey with alpha
        (Image.new("1", (3, 2), 1), np.full((2, 3, 3), 255)),  # one bit
        (Image.new("RGB", (1, 1), (1, 2, 3)), np.array([[[3, 2, 1]]])),  # 1x1
    ],
)
def test_every_kind_of_png(tmp_path: Path, picture: Image.Image, expected: np.ndarray) -> None:
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_sixteen_bits_of_colour(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), BGR.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), BGR)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg")[10, 15].astype(int), BGR[10, 15], atol=12)


def test_8k(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.jpg"), np.full((4320, 7680, 3), 90, np.uint8))
    assert read_image(tmp_path / "a.jpg").shape == (4320, 7680, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "RGB"), (".png", "RGBA"), (".webp", "RGBA")])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str, mode: str) -> None:
    turned = {
        1: BGR,
        2: BGR[:, ::-1],
        3: BGR[::-1, ::-1],
        4: BGR[::-1],
        5: BGR.swapaxes(0, 1),
        6: np.rot90(BGR, -1),
        7: BGR[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(BGR),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(RGB).convert(mode)
    if mode == "RGBA":
        picture.putalpha(200)
    options = {"lossless": True} if suffix == ".webp" else {"quality": 95}
    picture.save(tmp_path / f"a{suffix}", exif=exif, **options)
    expected = turned.astype(float) if mode == "RGB" else turned.astype(float) * 200 / 255 + 55
    height, width = expected.shape[:2]
    got = read_image(tmp_path / f"a{suffix}")
    assert got.shape == expected.shape
    seen = (slice(height // 4, None, height // 2), slice(width // 4, None, width // 2))
    np.testing.assert_allclose(got[seen].astype(int), expected[seen], atol=12)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),  # nothing
        (b"not an image", "not an image"),  # text
        (cv2.imencode(".png", BGR)[1].tobytes()[:150], "not an image"),  # cut short
    ],
)
def test_a_single_broken_image_is_one_line(
    tmp_path: Path, data: bytes, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SourceError, match=said) as caught:
        ImageSource((tmp_path / "a.png",))
    assert "a.png" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "WARN" not in capfd.readouterr().err


def test_one_image_is_one_frame(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), BGR)
    with ImageSource((tmp_path / "a.png",)) as source:
        assert (source.info.width, source.info.height, source.info.frame_count) == (60, 40, 1)
        (frame,) = source
    assert (frame.pts, frame.index, frame.name) == (0.0, 0, str(tmp_path / "a.png"))


def test_a_folder_plays_in_natural_order_without_what_is_no_picture(tmp_path: Path) -> None:
    for name, grey in (("f10.png", 100), ("f9.png", 90), ("F1.jpg", 10)):
        assert cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), grey, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._f9.png").write_bytes(b"what some systems leave beside files")
    with ImageSource.of_folder(tmp_path) as source:
        frames = list(source)
        assert source.info.fps is not None
    assert [Path(frame.name).name for frame in frames] == ["F1.jpg", "f9.png", "f10.png"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 90, 100]
    assert [frame.pts for frame in frames] == [float(index / source.info.fps) for index in range(3)]
    assert source.damage == ()


def test_a_broken_image_in_a_folder_is_skipped_and_counted(tmp_path: Path) -> None:
    for index in range(4):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 8, 3), index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"broken")
    with ImageSource.of_folder(tmp_path) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 2, 3]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert source.damage == ("1 of 4 images cannot be read and were skipped",)


def test_a_folder_of_broken_images_is_an_error(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"broken")
    with ImageSource.of_folder(tmp_path) as source, pytest.raises(SourceError, match="none of the 3 images"):
        list(source)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(UsageError, match="no image in the folder"):
        ImageSource.of_folder(tmp_path)
