"""The GPU: memory, streams, events, graphs and kernels in one primary context, all freed in the right order.

Everything here is made with a `Device`, is a context manager, and raises `DeviceError` and no other library's errors.
Importing this package imports no CUDA; the first `Device` does.
"""

from rtparse.device.arrays import DeviceArray
from rtparse.device.context import Device
from rtparse.device.graphs import Graph
from rtparse.device.kernels import Kernels
from rtparse.device.memory import DeviceBuffer, HostBuffer
from rtparse.device.streams import Event, Stream

__all__ = ["Device", "DeviceArray", "DeviceBuffer", "Event", "Graph", "HostBuffer", "Kernels", "Stream"]
