"""Parse a video and print, for every second, what the people in it wear.

python examples/parse_video.py examples/walk.mp4
"""

import sys

from rtparse import Parser

with Parser() as parser:
    second = -1
    for parsing in parser.stream(sys.argv[1]):
        if int(parsing.frame.pts) == second:
            continue
        second = int(parsing.frame.pts)
        share = {name: part for name, part in parsing.share().items() if name != "background" and part > 0.001}
        seen = ", ".join(f"{name} {part:.1%}" for name, part in sorted(share.items(), key=lambda item: -item[1]))
        print(f"{second:4d} s  {seen or 'nobody'}")
