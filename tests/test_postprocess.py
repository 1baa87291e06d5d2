"""Labels equal those of the dense computation: interpolate everything, then argmax."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtparse.errors import EngineError
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox

GEOMETRIES = [
    ((720, 1280), (176, 304)),  # enlarged, rows padded
    ((1280, 722), (304, 176)),  # upright, columns padded
    ((432, 768), (96, 96)),  # much padding
    ((31, 57), (176, 304)),  # a frame smaller than the grid
    ((1, 1), (64, 64)),  # one pixel
    ((700, 3), (832, 64)),  # a strip: content one or two pixels wide
    ((255, 193), (256, 192)),  # odd sides, about the input's size
]


def dense(logits: NDArray[np.float32], box: Letterbox) -> NDArray[np.float64]:
    """Bilinear interpolation of every class at every frame pixel, in float64, by the documented formula."""

    def weights(frame: int, network: int, content: int, first: int, grid: int) -> NDArray[np.float64]:
        at = np.clip((first + (np.arange(frame) + 0.5) * content / frame) * grid / network - 0.5, 0, grid - 1)
        return np.maximum(1 - np.abs(at[:, None] - np.arange(grid)), 0)

    rows, columns = (
        weights(box.frame_hw[i], box.network_hw[i], box.content_hw[i], (box.top, box.left)[i], logits.shape[1 + i])
        for i in (0, 1)
    )
    values: NDArray[np.float64] = rows @ logits.astype(np.float64) @ columns.T
    return values


def assert_same_labels(labels: NDArray[np.uint8], values: NDArray[np.float64]) -> None:
    """Equal to the argmax, except where the class chosen ties with the best to within 1e-5."""
    assert labels.dtype == np.uint8
    assert labels.shape == values.shape[1:]
    chosen = np.take_along_axis(values, labels[None].astype(np.intp), 0)[0]
    assert (values.max(0) - chosen).max() <= 1e-5
    assert (labels != values.argmax(0)).mean() < 1e-3


def people(grid_hw: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Logits as a network makes them: a wide background, blobs of every class, smooth noise."""
    rng = np.random.default_rng(seed)
    height, width = grid_hw
    ys, xs = np.mgrid[:height, :width]
    logits = np.zeros((20, height, width), np.float32)
    logits[0] = 3
    for person in rng.uniform(0.1, 0.9, (3, 2)) * grid_hw:
        for i in range(1, 20):
            y, x = person + rng.normal(0, 0.12, 2) * height
            logits[i] += 8 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (0.004 * height**2 + 1))
    noise = rng.normal(0, 0.4, (20, height // 3 + 1, width // 3 + 1))
    return logits + np.stack([cv2.resize(n, (width, height)) for n in noise]).astype(np.float32)


@pytest.mark.parametrize(("frame_hw", "network_hw"), GEOMETRIES)
@pytest.mark.parametrize("kind", ["people", "noise", "constant"])
def test_labels_are_those_of_the_dense_computation(
    frame_hw: tuple[int, int], network_hw: tuple[int, int], kind: str
) -> None:
    box = Letterbox.fit(frame_hw, network_hw)
    grid_hw = network_hw[0] // 2, network_hw[1] // 2
    rng = np.random.default_rng(1)
    logits = {
        "people": people(grid_hw, 0),
        "noise": rng.normal(0, 1, (20, *grid_hw)).astype(np.float32),
        "constant": np.zeros((20, *grid_hw), np.float32),
    }[kind]
    labels = Upsampler(box, grid_hw)(logits)
    assert_same_labels(labels, dense(logits, box))


@pytest.mark.parametrize("scale", [0.4, 1, 2, 7.3])
def test_without_padding_it_is_torchs_interpolate(scale: float) -> None:
    torch = pytest.importorskip("torch")
    logits = people((48, 64), 3)
    frame_hw = round(48 * scale), round(64 * scale)
    box = Letterbox(frame_hw, (96, 128), (96, 128), 0, 0)
    values = torch.nn.functional.interpolate(torch.from_numpy(logits)[None].double(), frame_hw, mode="bilinear")
    assert_same_labels(Upsampler(box, (48, 64))(logits), values[0].numpy())


def test_a_class_that_wins_between_grid_points_only_is_found() -> None:
    # On the grid points class 0 or class 1 leads by far; half-way, class 2 is above both.
    logits = np.full((3, 2, 2), -100, np.float32)
    logits[0, :, 0], logits[1, :, 1], logits[2] = 10, 10, 4
    logits[0, :, 1] = logits[1, :, 0] = -10
    labels = Upsampler(Letterbox((64, 640), (4, 4), (4, 4), 0, 0), (2, 2))(logits)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels[0, 320] == 2


def test_ties_go_to_the_lowest_id() -> None:
    logits = np.zeros((20, 8, 8), np.float32)
    logits[[3, 7, 11]] = 5
    logits[7, 4:, 4:] = 6
    labels = Upsampler(Letterbox.fit((200, 200), (16, 16)), (8, 8))(logits)
    assert labels[0, 0] == 3
    assert labels[-1, -1] == 7


def test_logits_of_another_size_are_refused() -> None:
    with pytest.raises(EngineError, match=r"expected \(classes, 8, 8\)"):
        Upsampler(Letterbox.fit((20, 20), (16, 16)), (8, 8))(np.zeros((20, 8, 9), np.float32))
