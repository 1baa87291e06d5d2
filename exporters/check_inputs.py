"""The pictures on which an exported file is compared with the network that it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.sources import open_source
from rtparse.train.synthetic import render_scene

COUNT = 8


def check_inputs(
    folder: Path | None, metadata: ModelMetadata, size_hw: tuple[int, int] | None
) -> list[NDArray[np.float32]]:
    """Network inputs (N, 3, H, W) float32 of up to 8 pictures, each as the runtime would prepare it.

    folder: of pictures; None renders people, portrait and landscape. size_hw: the only size on offer; without one, each
    picture has the size of its aspect ratio, and one input is a batch of two.
    """
    if folder is None:
        rng = np.random.default_rng(0)
        images = [render_scene(rng, (360, 640) if number % 2 else (480, 360)).image_bgr for number in range(COUNT)]
    else:
        with open_source(folder) as source:
            images = [frame.image for frame, _ in zip(source, range(COUNT), strict=False)]
    inputs = [network_input(image, metadata, size_hw) for image in images]
    if size_hw is None:
        inputs.append(np.concatenate([inputs[0], inputs[0][..., ::-1]]))
    return inputs


def network_input(
    image_bgr: NDArray[np.uint8], metadata: ModelMetadata, size_hw: tuple[int, int] | None
) -> NDArray[np.float32]:
    """The input (1, 3, H, W) float32 that the runtime makes of an image (h, w, 3) uint8 BGR.

    size_hw: as in `check_inputs`.
    """
    frame_hw = image_bgr.shape[0], image_bgr.shape[1]
    network_hw = size_hw or network_size(frame_hw, metadata.size_hw[0] * metadata.size_hw[1])
    return preprocess(image_bgr, Letterbox.fit(frame_hw, network_hw), metadata)[None]
