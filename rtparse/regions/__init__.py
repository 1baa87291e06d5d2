"""Parts of frames: one that the user chose, and those that follow people."""

from rtparse.regions.region import Region, Roi

__all__ = ["Region", "Roi"]
