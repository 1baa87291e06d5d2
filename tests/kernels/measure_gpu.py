"""Measure the kernels on a GPU: python tests/kernels/measure_gpu.py

Each line: the time of one launch, the bytes that it must read and write over that time, and that rate over the rate of
a copy of as many bytes on the same card. For upsample_concat also the times of torch's interpolate and cat, eager and
compiled, and whether the result is right. Times are the median of 7 rounds of a CUDA graph of 50 launches.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from rtparse.classes import PALETTE_RGB
from rtparse.kernels.frames import BgrFrame, blend, blend_palette, letterbox_normalize, running_mean, upsample_argmax
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox
from rtparse.train.model import upsample_concat as interpolate_and_cat
from rtparse.train.upsample_concat import _launch, upsample_concat

LAUNCHES = 50


def seconds(call: Callable[[], object]) -> float:
    """Of one call on the GPU, without the host's part."""
    call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            call()
    times = []
    for _ in range(8):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / LAUNCHES)
    return statistics.median(times[1:])


def report(name: str, call: Callable[[], object], moved: int) -> None:
    """moved: bytes read and written, each once."""
    source = torch.empty(moved // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    time, copy = seconds(call), seconds(lambda: target.copy_(source))
    print(f"{name:44} {time * 1e6:8.1f} us {moved / time / 1e9:8.0f} GB/s  {copy / time:5.2f} of a copy")


def measure_concat(shapes: list[tuple[int, int, int, int]], dtype: torch.dtype, channels_last: bool) -> None:
    form = torch.channels_last if channels_last else torch.contiguous_format
    inputs = [torch.randn(shape, device="cuda").to(dtype).contiguous(memory_format=form) for shape in shapes]
    expected = interpolate_and_cat([x.float() for x in inputs])
    output = upsample_concat(inputs)
    worst = float((output.float() - expected).abs().max())
    moved = sum(x.numel() * x.element_size() for x in [*inputs, output])
    name = f"upsample_concat {str(dtype)[6:]} {'hwc8' if channels_last else 'linear'} {tuple(output.shape)}"
    report(name, lambda: upsample_concat(inputs), moved)
    compiled = torch.compile(interpolate_and_cat)
    eager, fused = seconds(lambda: interpolate_and_cat(inputs)), seconds(lambda: compiled(inputs))
    print(f"    torch eager {eager * 1e6:.1f} us, compiled {fused * 1e6:.1f} us; largest error {worst:.1e}")


def measure_frames(frame_hw: tuple[int, int]) -> None:
    height, width = frame_hw
    network_hw = (176, 304)
    box = Letterbox.fit(frame_hw, network_hw)
    image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, device="cuda")
    planes = torch.empty((3, *network_hw), dtype=torch.float16, device="cuda")
    logits = torch.randn((20, 88, 152), device="cuda").half()
    mean = torch.zeros_like(logits, dtype=torch.float32)
    labels = torch.empty(frame_hw, dtype=torch.uint8, device="cuda")
    palette = torch.from_numpy(blend_palette(PALETTE_RGB)).cuda()
    frame = BgrFrame(image.data_ptr(), 3 * width)
    shape = (20, 88, 152)

    def size(*tensors: Tensor) -> int:
        return sum(x.numel() * x.element_size() for x in tensors)

    letterbox = letterbox_normalize("half", frame, box, ModelMetadata(), planes.data_ptr())
    argmax = upsample_argmax("half", logits.data_ptr(), shape, box, labels.data_ptr(), width)
    smooth = running_mean("half", logits.data_ptr(), mean.data_ptr(), mean.numel(), 0.5)
    overlay = blend(frame, labels.data_ptr(), width, palette.data_ptr(), frame_hw, 0.5, frame)
    for launch, moved in (
        (letterbox, size(image, planes)),
        (smooth, size(logits, mean, mean)),
        (argmax, size(logits, labels)),
        (overlay, size(image, image, labels)),
    ):
        report(f"{launch.entry} {width}x{height}", lambda launch=launch: _launch(launch, 0), moved)


def main() -> None:
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "CUDA", torch.version.cuda)
    for batch, width, coarse, height in ((1, 64, 64, 88), (8, 64, 64, 88), (1, 256, 64, 128), (16, 256, 64, 128)):
        size = (height, height * 152 // 88 // 8 * 8)
        shapes = [(batch, width, size[0] // k, size[1] // k) for k in (8, 4, 2)]
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            for channels_last in (False, True):
                measure_concat([*shapes, (batch, coarse, *size)], dtype, channels_last)
    for frame_hw in ((720, 1280), (1080, 1920), (2160, 3840)):
        measure_frames(frame_hw)


if __name__ == "__main__":
    main()
