"""Parts of frames: one that the user chose, and those that follow people."""

from rtparse.regions.region import Region, Roi
from rtparse.regions.stages import FollowStages

__all__ = ["FollowStages", "Region", "Roi"]
