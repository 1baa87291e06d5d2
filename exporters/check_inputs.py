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
    inputs = []
    for image in images:
        frame_hw = image.shape[0], image.shape[1]
        network_hw = size_hw or network_size(frame_hw, metadata.size_hw[0] * metadata.size_hw[1])
        inputs.append(preprocess(image, Letterbox.fit(frame_hw, network_hw), metadata)[None])
    if size_hw is None:
        inputs.append(np.concatenate([inputs[0], inputs[0][..., ::-1]]))
    return inputs
