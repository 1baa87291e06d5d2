"""Many videos on many machines: `rtparse batch`, on a Ray cluster (extra `cluster`).

inputs find the videos, plan cuts long ones, workers parse and write, join puts the parts together, the manifest
remembers. `run` holds them together; Ray places the workers and tells which of them died.
"""

from __future__ import annotations
