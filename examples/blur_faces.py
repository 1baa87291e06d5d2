"""Write a copy of a video in which faces and hair are blurred beyond recognition.

python examples/blur_faces.py in.mp4 out.mp4
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from rtparse import Parser, Parsing
from rtparse.sinks import VideoSink
from rtparse.sources import open_source


def blurred(parsing: Parsing) -> np.ndarray:
    """The frame, blurred where a face or hair is, and a little around it."""
    reach = max(3, parsing.labels.shape[0] // 60)
    mask = cv2.dilate(parsing.mask("face", "hair", "sunglasses").astype(np.uint8), np.ones((reach, reach), np.uint8))
    strength = parsing.labels.shape[0] / 30
    return np.where(mask[:, :, None] > 0, cv2.GaussianBlur(parsing.frame.image, (0, 0), strength), parsing.frame.image)


source_path, output_path = sys.argv[1:3]
with Parser() as parser, open_source(source_path) as source:
    sink = VideoSink(Path(output_path), source.info, blurred, audio_from=source_path if source.info.audio else None)
    try:
        for parsing in parser.stream(source):
            sink.write(parsing)
    except BaseException:
        sink.abort()
        raise
    sink.finish()
