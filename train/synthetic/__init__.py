"""Synthetic people: an articulated 3-D figure with exact labels of the 20 LIP classes, drawn with numpy and OpenCV.

`render_scene` makes training pictures; `render` draws described people; `clip_frames` draws the example clip.
"""

from rtparse.train.synthetic.clip import clip_frames, recolored
from rtparse.train.synthetic.figure import Person
from rtparse.train.synthetic.raster import Camera
from rtparse.train.synthetic.render import Light, Scene, render
from rtparse.train.synthetic.scene import render_scene

__all__ = ["Camera", "Light", "Person", "Scene", "clip_frames", "recolored", "render", "render_scene"]
