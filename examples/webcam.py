"""Show the camera with everyone in it parsed; press q to end.

python examples/webcam.py        (or a camera's number, or an rtsp:// address)
"""

import sys

import cv2

from rtparse import Parser

with Parser(smooth=0.5) as parser:
    for parsing in parser.stream(sys.argv[1] if len(sys.argv) > 1 else 0):
        cv2.imshow("rtparse", parsing.overlay())
        if cv2.waitKey(1) == ord("q"):
            break
