"""An RTSP server for the tests, run by the system's Python: serves coded pictures at the times that their numbers say.

    /usr/bin/python3 rtsp_server.py PORT EPOCH FPS GROUP CLIP [CLIP ...]

EPOCH is a `time.monotonic()` of this machine; picture n is sent at EPOCH + n / FPS, whenever a client comes, and is
picture n mod length of the clip. With several clips each is played for a second in turn. A clip holds pictures, each
behind its length in four bytes; every GROUP-th is a keyframe. Prints the port.
"""

from __future__ import annotations

import struct
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
SECONDS_OF_A_CLIP = 1


def read_clip(path: str) -> list[bytes]:
    data, pictures, at = Path(path).read_bytes(), [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        pictures.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return pictures


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, epoch: float, fps: int, group: int, clips: list[list[bytes]]) -> None:
        super().__init__()
        self.epoch, self.fps, self.group, self.clips = epoch, fps, group, clips
        self.set_shared(True)

    def do_create_element(self, url):
        return Gst.parse_launch(
            f"( appsrc name=source is-live=true format=time caps={CAPS} "
            "! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"
        )

    def do_configure(self, media):
        source = media.get_element().get_child_by_name("source")
        threading.Thread(target=self.feed, args=(source,), daemon=True).start()

    def feed(self, source) -> None:
        number = first = (int((time.monotonic() - self.epoch) * self.fps) // self.group + 1) * self.group
        turn = SECONDS_OF_A_CLIP * self.fps // self.group * self.group  # whole groups
        while True:
            clip = self.clips[number // turn % len(self.clips)]
            buffer = Gst.Buffer.new_wrapped(clip[number % len(clip)])
            buffer.pts = (number - first) * Gst.SECOND // self.fps
            buffer.duration = Gst.SECOND // self.fps
            time.sleep(max(0.0, self.epoch + number / self.fps - time.monotonic()))
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1


def main() -> None:
    port, epoch, fps, group, *clips = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory(
        "/clip", Factory(float(epoch), int(fps), int(group), [read_clip(clip) for clip in clips])
    )
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
