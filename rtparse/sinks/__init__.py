"""Where parsings go: files and windows. base.py is the contract."""

from __future__ import annotations

from rtparse.sinks.base import Sink, WindowClosed
from rtparse.sinks.images import IMAGE_FORMATS, ImageSink, image_suffix
from rtparse.sinks.jsonl import JsonlSink
from rtparse.sinks.masks import MaskSink
from rtparse.sinks.png_folder import PngFolderSink
from rtparse.sinks.video import VIDEO_FORMATS, VideoSink, video_format
from rtparse.sinks.window import WindowSink

__all__ = [
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "ImageSink",
    "JsonlSink",
    "MaskSink",
    "PngFolderSink",
    "Sink",
    "VideoSink",
    "WindowClosed",
    "WindowSink",
    "image_suffix",
    "video_format",
]
