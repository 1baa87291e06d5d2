"""The front door, on a real engine and real files."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rtparse import CLASSES, EngineError, Frame, Parser, SourceError, UsageError
from rtparse.classes import PALETTES
from rtparse.engines.fake import FakeEngine
from rtparse.metadata import ModelMetadata
from rtparse.preprocess import Letterbox, network_size, preprocess
from rtparse.sources import open_source
from rtparse.sources.base import SourceInfo

FACE = CLASSES.index("face")


@pytest.fixture
def parser(tiny_onnx: Path) -> Iterator[Parser]:
    with Parser(tiny_onnx) as opened:
        yield opened


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames 96x64 at 25 FPS, each darker than the one before."""
    path = tmp_path_factory.mktemp("video") / "fade.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=96, height=64, pix_fmt="yuv420p")
        for i in range(40):
            image = np.full((64, 96, 3), 240 - 5 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())
    return path


def picture(height: int = 90, width: int = 120, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 30 + 1, width // 30 + 1, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def rtparse_threads() -> list[str]:
    gc.collect()
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtparse")]


def test_palette_is_the_models_unless_another_is_chosen(make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    own = ModelMetadata(size_hw=(64, 64), palette_rgb=tuple((0, i, 2 * i) for i in range(20)))
    path = make_onnx(tmp_path / "own.onnx", metadata=own)
    for name, expected in ((None, np.array(own.palette_rgb)), *PALETTES.items()):
        with Parser(path, palette=name) as opened:
            parsing = opened(picture())
        np.testing.assert_array_equal(parsing.palette_rgb, expected)
        np.testing.assert_array_equal(parsing.picture(), expected[parsing.labels][:, :, ::-1])
    with pytest.raises(UsageError, match="no palette 'pink'"):
        Parser(path, palette="pink")
    two = ModelMetadata(classes=("background", "person"), palette_rgb=((0, 0, 0), (9, 9, 9)))
    with pytest.raises(UsageError, match="colours 20 classes, the model has 2"):
        Parser(FakeEngine(np.zeros((4, 4), np.uint8), metadata=two), palette="default")


def test_labels_are_those_of_the_model_at_every_pixel(parser: Parser) -> None:
    image = picture()
    size = network_size((90, 120), 64 * 64)
    box = Letterbox.fit((90, 120), size)
    logits = parser.engine.infer(preprocess(image, box, parser.engine.metadata)[None])[0]
    # Nearest grid point of each pixel centre: right wherever the labels around it agree.
    coarse = logits.argmax(0).astype(np.uint8)
    parsing = parser(image)
    assert parsing.labels.shape == (90, 120)
    assert parsing.frame.image is image
    y = ((box.top + (np.arange(90) + 0.5) * box.content_hw[0] / 90) / 2).astype(int)
    x = ((box.left + (np.arange(120) + 0.5) * box.content_hw[1] / 120) / 2).astype(int)
    agree = cv2.erode(coarse, np.ones((3, 3))) == cv2.dilate(coarse, np.ones((3, 3)))
    inside = agree[y][:, x]
    assert inside.mean() > 0.05
    np.testing.assert_array_equal(parsing.labels[inside], coarse[y][:, x][inside])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_backend_runs_the_file(tiny_onnx: Path, backend: str) -> None:
    pytest.importorskip(backend)
    with Parser(tiny_onnx, backend=backend) as parser:
        assert parser.engine.kind == backend
        assert parser(picture()).labels.shape == (90, 120)


def test_rgb_arrays_and_pil_images_are_the_same_picture(parser: Parser, tiny_onnx: Path) -> None:
    image = picture()
    labels = parser(image).labels
    with Parser(tiny_onnx, color="rgb") as rgb:
        np.testing.assert_array_equal(rgb(image[:, :, ::-1]).labels, labels)
        np.testing.assert_array_equal(rgb(Image.fromarray(image[:, :, ::-1])).labels, labels)
    np.testing.assert_array_equal(parser(Image.fromarray(image[:, :, ::-1])).labels, labels)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),  # one pixel
        np.zeros((33, 47), np.uint8),  # grey
        np.zeros((40, 30, 4), np.uint8),  # RGBA
        np.zeros((30, 40, 3), np.uint16),  # 16 bits
        np.zeros((3, 2000, 3), np.uint8),  # a strip
        np.zeros((4320, 7680, 3), np.uint8),  # 8K
    ],
    ids=lambda image: f"{image.shape} {image.dtype}",
)
def test_any_picture_gets_labels_of_its_own_size(parser: Parser, image: NDArray[np.uint8]) -> None:
    assert parser(image).labels.shape == image.shape[:2]


def test_what_is_no_picture_is_wrong_use(parser: Parser) -> None:
    for given in (np.zeros((4, 4, 7), np.uint8), "picture.png", None):
        with pytest.raises(UsageError, match="expected"):
            parser(given)


def test_a_batch_of_mixed_sizes_is_parsed_as_its_images_are(parser: Parser) -> None:
    images = [picture(90, 120, i) if i % 3 else picture(200, 100, i) for i in range(20)]
    found = parser.batch(images)
    assert len(found) == 20
    for image, parsing in zip(images, found, strict=True):
        assert parsing.frame.image is image
        assert (parsing.labels != parser(image).labels).mean() < 1e-3
    assert parser.batch([]) == []


def test_images_of_one_size_go_through_the_engine_together() -> None:
    shapes = []

    def record(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        shapes.append(batch.shape)
        return np.zeros((len(batch), 20, 4, 4), np.float32)

    with Parser(FakeEngine(record), size=(64, 64)) as parser:
        parser.batch([picture(), picture(200, 100), picture()])
        parser.batch([picture()] * 9)
    assert shapes == [(3, 3, 64, 64), (8, 3, 64, 64), (1, 3, 64, 64)]


@pytest.mark.parametrize(
    ("size", "expected"), [("auto", (96, 160)), ("96x64", (96, 64)), ((32, 32), (32, 32))], ids=str
)
def test_the_network_input_has_the_size_asked_for(size: str | tuple[int, int], expected: tuple[int, int]) -> None:
    seen = set()

    def record(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.add(batch.shape[2:])
        return np.zeros((len(batch), 20, 4, 4), np.float32)

    with Parser(FakeEngine(record, metadata=ModelMetadata(size_hw=(128, 128))), size=size) as parser:
        parser(picture(90, 150))
    assert seen == {expected}


def test_a_static_model_parses_every_frame_at_its_size(make_onnx: Callable[..., Path], tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "static.onnx", given=(1, 3, 64, 48))
    with Parser(path) as parser:
        assert parser(picture()).labels.shape == (90, 120)
        assert len(parser.batch([picture()] * 3)) == 3
    with pytest.raises(UsageError, match="choose from: 64x48"):
        Parser(path, size=(64, 64))


def test_a_stream_yields_every_frame_in_order_with_its_time(parser: Parser, video: Path) -> None:
    with parser.stream(video) as stream:
        assert stream.info.frame_count == 40
        found = [(p.frame.index, round(p.frame.pts * 25), p.labels.shape, p.frame.image.mean()) for p in stream]
    assert [each[:3] for each in found] == [(i, i, (64, 96)) for i in range(40)]
    brightness = [each[3] for each in found]
    assert brightness == sorted(brightness, reverse=True)
    assert stream.damage == ()
    assert rtparse_threads() == []


def test_a_stream_parses_as_the_parser_does(parser: Parser, shared: Path) -> None:
    with open_source(shared / "media" / "asl-walk.mkv") as source:
        for i, parsing in enumerate(parser.stream(source)):
            np.testing.assert_array_equal(parsing.labels, parser(parsing.frame).labels)
            if i == 10:
                break
    assert rtparse_threads() == []


def test_a_stream_of_mixed_sizes(parser: Parser) -> None:
    sizes = [(40, 60), (61, 33), (40, 60), (1, 1)]
    shapes = [p.labels.shape for p in parser.stream(np.zeros((*size, 3), np.uint8) for size in sizes)]
    assert shapes == sizes


def test_threads_end_with_the_loop_whatever_ends_it(parser: Parser, video: Path) -> None:
    for _ in parser.stream(video):
        break
    assert rtparse_threads() == []

    def fails() -> None:
        for _ in parser.stream(video):
            raise RuntimeError("the application's own")

    with pytest.raises(RuntimeError, match="the application's own"):
        fails()
    assert rtparse_threads() == []


def test_errors_of_source_and_engine_reach_the_loop(parser: Parser) -> None:
    def source() -> Iterator[NDArray[np.uint8]]:
        yield picture()
        raise SourceError("unplugged")

    stream = parser.stream(source())
    next(stream)
    with pytest.raises(SourceError, match="unplugged"):
        next(stream)

    def engine(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        raise EngineError("out of memory")

    with pytest.raises(EngineError, match="out of memory"), Parser(FakeEngine(engine)) as broken:
        next(broken.stream([picture()]))
    assert rtparse_threads() == []


def test_memory_is_bounded_when_the_consumer_is_slow(parser: Parser) -> None:
    made = 0

    def source() -> Iterator[NDArray[np.uint8]]:
        nonlocal made
        while True:
            made += 1
            yield picture(48, 64)

    with parser.stream(source()) as stream:
        for taken in range(1, 15):
            next(stream)
            time.sleep(0.02)
            assert made - taken <= 8


class Camera:
    """A live source that is faster than its consumer."""

    info = SourceInfo("camera", live=True)
    damage = ()

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self.closed.wait(0.002):
            yield Frame(picture(48, 64), index / 500, index)
            index += 1

    def close(self) -> None:
        self.closed.set()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_of_a_live_source_the_newest_frame_is_parsed(parser: Parser) -> None:
    camera = Camera()
    with parser.stream(camera) as stream:
        seen = []
        for parsing in stream:
            seen.append(parsing.frame.index)
            if len(seen) == 10:
                break
            time.sleep(0.05)
        assert seen == sorted(set(seen))
        # 25 frames pass while one is looked at: a queue would be at frame 10 by now.
        assert seen[-1] > 50
        assert stream.dropped > 40
    assert camera.closed.is_set()
    assert rtparse_threads() == []


def test_smoothing_damps_flicker_in_streams_only() -> None:
    def flicker(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        # Face is just above the background in frames that are a little brighter.
        logits = np.zeros((len(batch), 20, *(side // 2 for side in batch.shape[2:])), np.float32)
        logits[:, FACE] = np.where(batch.mean((1, 2, 3)) > 0, 0.2, -1.0)[:, None, None]
        return logits

    frames = [np.full((64, 64, 3), value, np.uint8) for value in [114, 124] * 10]
    with Parser(FakeEngine(flicker), smooth=0.8) as parser:
        labels = [int(p.labels[0, 0]) for p in parser.stream(frames)]
        alone = [int(p.labels[0, 0]) for p in parser.batch(frames)]
    assert alone == [0, FACE] * 10
    assert labels == [0] * 20


def test_it_runs_in_several_threads(parser: Parser) -> None:
    images = [picture(40 + 8 * i, 60, i) for i in range(24)]
    alone = [parser(image).labels for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(parser, images), alone, strict=True):
            np.testing.assert_array_equal(found.labels, expected)


def test_after_closing_it_says_so(tiny_onnx: Path) -> None:
    parser = Parser(tiny_onnx)
    parser.close()
    parser.close()
    for use in (lambda: parser(picture()), lambda: parser.batch([picture()]), lambda: parser.stream([picture()])):
        with pytest.raises(UsageError, match="the parser was closed"):
            use()
    with pytest.raises(EngineError):
        parser.engine.infer(np.zeros((1, 3, 64, 64), np.float32))


def test_an_engine_that_was_passed_in_stays_open() -> None:
    engine = FakeEngine(np.zeros((4, 4), np.uint8))
    with Parser(engine) as parser:
        assert parser.engine is engine
    assert engine.infer(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 20, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "hsv"}, "choose bgr or rgb"),
        ({"size": "large"}, "256x192"),
        ({"size": (100, 100)}, "multiples of 16"),
        ({"smooth": 1.0}, "below 1"),
        ({"backend": "tensorflow"}, "no backend 'tensorflow'"),
        ({"model": FakeEngine(np.zeros((4, 4), np.uint8)), "backend": "openvino"}, "give one or the other"),
        ({"model": "no-such-model"}, "no model file or name 'no-such-model'"),
        ({"model": Path("none.onnx")}, r"none\.onnx"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(
    tiny_onnx: Path, options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=message):
        Parser(**{"model": tiny_onnx, **options})  # type: ignore[arg-type]


def test_unknown_classes_are_refused(parser: Parser) -> None:
    parser.check_classes(None)
    parser.check_classes(["face", "hair"])
    with pytest.raises(UsageError, match="there is no class 'nose'"):
        parser.check_classes(["face", "nose"])


def test_a_missing_video_is_wrong_use_at_once(parser: Parser, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none"):
        parser.stream(tmp_path / "none.mp4")
