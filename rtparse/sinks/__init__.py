"""Where parsings go: files, windows, streams, other programs. base.py is the contract."""

from __future__ import annotations

from rtparse.sinks.base import Sink, WindowClosed
from rtparse.sinks.callback import CallbackSink
from rtparse.sinks.fanout import Fanout, Output, OutputState
from rtparse.sinks.images import IMAGE_FORMATS, ImageSink, image_suffix
from rtparse.sinks.jsonl import JsonlSink
from rtparse.sinks.masks import MaskSink
from rtparse.sinks.network import NetworkSink
from rtparse.sinks.png_folder import PngFolderSink
from rtparse.sinks.raw_labels import RawLabelsSink
from rtparse.sinks.segments import SegmentSink
from rtparse.sinks.video import VIDEO_FORMATS, VideoSink, video_format
from rtparse.sinks.virtual_camera import VirtualCameraSink
from rtparse.sinks.window import WindowSink, WindowsSink

__all__ = [
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "CallbackSink",
    "Fanout",
    "ImageSink",
    "JsonlSink",
    "MaskSink",
    "NetworkSink",
    "Output",
    "OutputState",
    "PngFolderSink",
    "RawLabelsSink",
    "SegmentSink",
    "Sink",
    "VideoSink",
    "VirtualCameraSink",
    "WindowClosed",
    "WindowSink",
    "WindowsSink",
    "image_suffix",
    "video_format",
]
