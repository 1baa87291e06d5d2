"""The front door: a model that parses images, batches and streams."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtparse.classes import class_ids, palette_rgb
from rtparse.closing import Closing
from rtparse.device.frames import Pixels
from rtparse.device.surfaces import DeviceFrame
from rtparse.engines import Engine, default_model, open_on_each
from rtparse.engines.base import FrameEngine
from rtparse.errors import RtparseError, UsageError
from rtparse.frame import Frame
from rtparse.frame_stages import FrameStages
from rtparse.models import resolve
from rtparse.parsing import Parsing
from rtparse.pipeline import Pipeline, Stage
from rtparse.postprocess import Upsampler
from rtparse.preprocess import Letterbox, Size, fixed_size, network_size, preprocess
from rtparse.profiling import nvtx_range
from rtparse.regions import FollowStages, Region, Roi
from rtparse.smoothing import Smoother
from rtparse.sources import Source, open_source, open_sources
from rtparse.sources.convert import to_bgr8
from rtparse.stream import Stream

BATCH = 8
"""Most images that go through the engine at once: more cost memory and gain no speed."""

RUNS = 2
"""Batches of files' frames that are in the engine at once: one computes while the other waits for its slowest thread.
With a live source whose frames may be dropped there is one, since a second would only make it later."""

GEOMETRIES = 16
"""Frame sizes whose geometry is kept, so that mixed sizes do not compute it anew for every frame."""


class Parser(Closing):
    """Finds the class of every pixel of images, batches and streams.

        with Parser() as parser:                        # the built-in model
            face = parser(image).mask("face")           # image: (H, W, 3) uint8 BGR
            for parsing in parser.stream("in.mp4"):
                show(parsing.overlay())

    Calling the parser and `batch` are thread-safe, and streams of one parser may run side by side; each stream belongs
    to the thread that iterates it. Everything returned belongs to the caller, with one exception: `parsing.frame.image`
    is the very array that was given to `parser(image)` when that needed no conversion.

    Parsers on one GPU share its context with each other and with torch. In a process that is forked later, what would
    use the GPU raises DeviceError, and closing does nothing: start processes with `spawn` where there is a GPU.
    """

    def __init__(
        self,
        model: str | Path | Engine | None = None,
        *,
        color: str = "bgr",
        size: Size = "auto",
        smooth: float = 0.0,
        roi: Roi | None = None,
        follow: bool = False,
        palette: str | None = None,
        backend: str | None = None,
        device: int | Sequence[int] = (),
        latency: bool = False,
        decode: str = "auto",
    ) -> None:
        """Load a model.

        model: a file (.onnx, .safetensors), the name of a registered model, an engine that the caller keeps and
            closes, or None for the built-in model that is fastest here.
        color: "bgr" or "rgb", the channel order of the arrays that are passed in; files and PIL images know their own.
        size: of the network's input. "auto" follows the aspect ratio of the frames at the model's pixel budget;
            "HxW" or (height, width), multiples of 16, fixes it. Frames are letterboxed into either.
        smooth: 0 (off) to below 1, damps flicker in streams: the share of the past in a running mean of logits.
        roi: (x, y, width, height) or "x,y,width,height" in pixels of the frame: only this part is looked at, everything
            around it is background. None is the whole frame. A frame in which it does not lie is a UsageError.
        follow: in streams, parse people in crops that follow them, each at the network's full resolution, and search
            the frame for more of them. Costs several runs of the engine a frame; not together with `smooth`.
        palette: "default" or "colorblind", the colours of overlays, labels and legends; None keeps the model's own.
        backend: what runs an .onnx file, "onnxruntime" or "openvino"; None takes the faster one for this machine, as
            `rtparse.engines.open_engine` documents.
        device: the NVIDIA GPU, as CUDA counts them, that runs a plan or a checkpoint; the first where left out. Several
            share the sources of a stream: the i-th goes to the i-th of them, in turns. All else is done by the first.
        latency: one batch of a stream at a time, as always with live sources of which frames may be dropped: each
            result comes as early as it can, and fewer come in a second.
        decode: what decodes the video files of streams. "nvdec" is NVIDIA's decoder, for an engine that keeps frames on
            its GPU, with the extra `nvcodec`; "cpu" is FFmpeg; "auto" takes NVDEC for the files that it can decode.

        Raises UsageError for a missing file, a GPU that is not there or an option that cannot be meant,
        MissingDependencyError when the engine's package is not installed, EngineError for a file that cannot be run,
        DeviceError for a GPU that cannot be used.
        """
        if color not in ("bgr", "rgb"):
            raise UsageError(f"the colour order is {color!r}", "choose bgr or rgb")
        if follow and smooth:
            raise UsageError(
                f"got follow and smooth {smooth}", "give one of them: logits of crops that move have no running mean"
            )
        if decode not in ("auto", "cpu", "nvdec"):
            raise UsageError(f"decode is {decode!r}", "choose auto, cpu or nvdec")
        if follow and not isinstance(device, int) and len(device) > 1:
            raise UsageError(f"got follow and the devices {', '.join(map(str, device))}", "give one device")
        Smoother(smooth)  # refuses a strength out of range before a model is loaded
        if palette is not None:
            palette_rgb(palette)  # and an unknown palette
        self._color = color
        self._smooth = smooth
        self._follow = follow
        self._roi = None if roi is None else Region.of(roi)
        self._closed = False
        self._owns_engine = model is None or isinstance(model, str | Path)
        if model is None or isinstance(model, str | Path):
            path = resolve(default_model(backend) if model is None else model)
            self._engines = open_on_each(path, backend, [device] if isinstance(device, int) else device)
        elif backend is not None or device != ():
            raise UsageError(
                f"got an engine that is open, backend {backend!r} and device {device!r}", "give one or the others"
            )
        else:
            self._engines = [model]
        self.engine: Engine = self._engines[0]
        self._gpus = [device] if isinstance(device, int) else list(device) or [0]
        self._decode = decode
        self._latency = latency
        try:
            metadata = self.engine.metadata
            fixed = fixed_size(size, self.engine.sizes)
            if decode == "nvdec":
                self._check_nvdec()
            own = np.array(metadata.palette_rgb, np.uint8)
            self._palette = own if palette is None else palette_rgb(palette, metadata.classes)
        except RtparseError:
            self.close()
            raise
        budget = metadata.size_hw[0] * metadata.size_hw[1]
        self._network_hw = lru_cache(GEOMETRIES)(partial(_network_hw, fixed, budget, self.engine.sizes))
        self._letterbox = lru_cache(GEOMETRIES)(partial(_letterbox, self._network_hw, self._roi))
        self._upsampler = lru_cache(GEOMETRIES)(Upsampler)

    def __call__(self, image: object) -> Parsing:
        """Parse one image: (H, W, 3) uint8 in the parser's colour order, a PIL image, or a Frame.

        Grey, alpha, 16-bit and float images are converted as `rtparse.sources.convert.to_bgr8` documents. Raises
        UsageError for another form, EngineError for a failed run.
        """
        return self.batch([image])[0]

    def batch(self, images: Iterable[object]) -> list[Parsing]:
        """Parse images, in their order; those with one input size go through the engine together. See `__call__`."""
        frames = [self._frame(image) for image in images]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, frame in enumerate(frames):
            groups[self._letterbox(frame.size_hw).network_hw].append(i)
        parsings: dict[int, Parsing] = {}
        for group in groups.values():
            for first in range(0, len(group), BATCH):
                part = group[first : first + BATCH]
                for i, inferred in zip(part, self._infer([frames[i] for i in part]), strict=True):
                    parsings[i] = self._parsing(inferred, inferred.logits)
        return [parsings[i] for i in range(len(frames))]

    def stream(self, source: object) -> Stream:
        """Parse a video, a folder, a camera or any other source, or several at once, lazily and in order.

        source: a path, a URL, a camera's number, an iterable of images or Frames, or a source that is open already
            (`rtparse.sources.open_source`); the stream closes it. A list or tuple of such is several sources, unless
            its items are images or Frames.

        Reading and parsing run ahead by a few frames in threads of their own, which end with the stream. Of a live
        source the newest frame is parsed and those that came too early are dropped.

        The parsings of several sources come as they are ready, those of each in its order; `parsing.frame.source` is
        the number of the source. No source waits for another. One that fails ends alone: a warning is logged, the
        others go on, and the first such error is raised at the end of all.

        Raises UsageError and SourceError here when a source cannot be opened, and SourceError and EngineError while
        iterating.
        """
        self._check_open()
        opened = open_sources(source, self.open)
        return Stream(opened, self._pipeline(opened))

    def open(self, source: object, number: int = 0) -> Source:
        """Open a source for `stream`, which closes it; video files with the decoder that suits the engine.

        source: as for `rtparse.sources.open_source`. number: its place among those that are parsed together.
        Raises as `open_source` does; where NVDEC was asked for, UsageError for another source than a video file,
        SourceError for one that it does not take, MissingDependencyError and DeviceError where it is not there.
        """
        on_gpu = isinstance(self.engine, FrameEngine) and not self._follow and self._decode != "cpu"
        if not on_gpu:
            return open_source(source, color=self._color)
        from rtparse.sources.nvdec import NvdecSource

        required = self._decode == "nvdec"
        gpu = self._gpus[number % len(self._gpus)]
        opened = open_source(source, color=self._color, video=partial(NvdecSource, gpu=gpu, required=required))
        if required and not isinstance(opened, NvdecSource):
            opened.close()
            raise UsageError(f"NVDEC cannot decode {opened.info.name}", "it decodes video files; choose auto or cpu")
        return opened

    @property
    def palette_rgb(self) -> NDArray[np.uint8]:
        """(classes, 3) uint8 RGB, the colours of the classes. Not to be written into."""
        return self._palette

    def with_smooth(self, smooth: float) -> Parser:
        """This parser with another smoothing. It shares the model, which stays this one's to close.

        Raises UsageError for a strength out of range, and for one above 0 where people are followed.
        """
        Smoother(smooth)
        if smooth and self._follow:
            raise UsageError(f"got smooth {smooth} for a parser that follows people", "give 0")
        other = copy.copy(self)
        other._smooth = smooth
        other._owns_engine = False
        return other

    def check_classes(self, names: Iterable[str] | None) -> None:
        """Raise UsageError for a name that is no class of this model; None names none."""
        class_ids(names or (), self.engine.metadata.classes)

    def close(self) -> None:
        """Free the model, unless the engine was the caller's. Calling it twice does nothing."""
        self._closed = True
        if self._owns_engine:
            for engine in self._engines:
                engine.close()

    def _pipeline(self, sources: list[Source]) -> Pipeline[Parsing]:
        smoothers = [Smoother(self._smooth) for _ in sources]
        newest = [info.live and not info.keep_all for info in (source.info for source in sources)]
        latency = self._latency or any(newest)

        def kind(frame: Frame) -> Hashable:
            return self._letterbox(frame.size_hw).network_hw

        def finish(batch: list[_Inferred]) -> list[Parsing]:
            with nvtx_range("smooth"):
                smoothed = [smoothers[each.frame.source](each.network_input, each.logits) for each in batch]
            return [self._parsing(*each) for each in zip(batch, smoothed, strict=True)]

        stages = [Stage(self._infer, 1 if latency else RUNS), Stage(finish)]
        closing = [source.close for source in sources]
        on_gpus = [engine for engine in self._engines if isinstance(engine, FrameEngine)]
        if self._follow:
            following = FollowStages(self.engine, self._network_hw, self._shown, self._labels, self._labelled)
            stages = following.stages
        elif on_gpus:
            on_gpu = FrameStages(
                on_gpus,
                self._letterbox,
                self._labelled,
                latency=latency,
                smooth=self._smooth,
                shown=self._pixels,
            )
            stages, kind = on_gpu.stages, on_gpu.kind
            closing.append(on_gpu.close)

        def stop() -> None:
            with ExitStack() as stack:  # closes the others too where one fails to
                for close in closing:
                    stack.callback(close)

        return Pipeline(
            [_numbered(source, number) for number, source in enumerate(sources)],
            stages,
            batch=self.engine.batch,
            kind=kind,
            live=newest,
            stop=stop,
        )

    def _check_nvdec(self) -> None:
        if self._follow or not isinstance(self.engine, FrameEngine):
            reason = "follow" if self._follow else f"an engine of the kind {self.engine.kind}"
            raise UsageError(
                f"got decode nvdec and {reason}",
                "NVDEC decodes for plans, and checkpoints on a GPU; choose auto or cpu",
            )
        from rtparse.device.nvcodec import nvcodec

        nvcodec()  # raises where it is not there

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("the parser was closed", "make a new one, or use it inside its `with` block")

    def _frame(self, image: object) -> Frame:
        self._check_open()
        return image if isinstance(image, Frame) else Frame(to_bgr8(image, self._color))

    def _shown(self, frame: Frame) -> NDArray[np.uint8]:
        """The pixels that are looked at."""
        return frame.image if self._roi is None else self._roi.crop(frame.image)

    def _pixels(self, frame: Frame) -> Pixels:
        """The same, on the GPU where the frame is."""
        if not isinstance(frame, DeviceFrame):
            return self._shown(frame)
        return frame.surface if self._roi is None else frame.surface.part(self._roi)

    def _infer(self, frames: list[Frame]) -> list[_Inferred]:
        """Frames of one input size through the engine."""
        boxes = [self._letterbox(frame.size_hw) for frame in frames]
        batch = np.empty((len(frames), 3, *boxes[0].network_hw), np.float32)
        with nvtx_range("preprocess"):
            for frame, box, network_input in zip(frames, boxes, batch, strict=True):
                preprocess(self._shown(frame), box, self.engine.metadata, network_input)
        with nvtx_range("engine"):
            logits = self.engine.infer(batch)
        return [_Inferred(*each) for each in zip(frames, boxes, batch, logits, strict=True)]

    def _parsing(self, inferred: _Inferred, logits: NDArray[np.float32]) -> Parsing:
        with nvtx_range("postprocess"):
            labels = self._labels(inferred.letterbox, logits)
        return self._labelled(inferred.frame, labels)

    def _labels(self, letterbox: Letterbox, logits: NDArray[np.float32]) -> NDArray[np.uint8]:
        return self._upsampler(letterbox, logits.shape[1:])(logits)

    def _labelled(self, frame: Frame, labels: NDArray[np.uint8]) -> Parsing:
        if self._roi is not None:
            labels = self._roi.paste(labels, frame.size_hw)
        return Parsing(frame, labels, self.engine.metadata.classes, self._palette)


@dataclass(frozen=True, slots=True, eq=False)
class _Inferred:
    """A frame half-way: what the engine made of it."""

    frame: Frame
    letterbox: Letterbox
    network_input: NDArray[np.float32]
    logits: NDArray[np.float32]


def _numbered(source: Source, number: int) -> Iterator[Frame]:
    """The frames of a source with its number among those parsed together. It is closed when they have ended."""
    with source:
        frames = iter(source)
        while True:
            with nvtx_range("read"):
                frame = next(frames, None)
            if frame is None:
                return
            yield replace(frame, source=number)


def _network_hw(
    fixed: tuple[int, int] | None,
    budget: int,
    sizes: tuple[tuple[int, int], ...] | None,
    picture_hw: tuple[int, int],
) -> tuple[int, int]:
    return fixed or network_size(picture_hw, budget, sizes)


def _letterbox(
    network_hw: Callable[[tuple[int, int]], tuple[int, int]], roi: Region | None, frame_hw: tuple[int, int]
) -> Letterbox:
    """Of what is looked at of a frame. Raises UsageError for a frame in which the region does not lie."""
    shown_hw = frame_hw if roi is None else roi.inside(frame_hw).size_hw
    return Letterbox.fit(shown_hw, network_hw(shown_hw))
