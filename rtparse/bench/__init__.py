"""Speed on this machine, from a kernel to a whole video, and beside other runtimes: the work of `rtparse bench`."""

from rtparse.bench.report import BenchReport, Compared, GpuReport, KernelSpeed
from rtparse.bench.run import bench

__all__ = ["BenchReport", "Compared", "GpuReport", "KernelSpeed", "bench"]
