"""Images over HTTP: the labels are the Parser's, in each form, and what is not taken is refused in words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from io import BytesIO
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from rtparse import CLASSES, Parser
from rtparse.engines.fake import FakeEngine
from rtparse.serve.api import api_app, api_router
from rtparse.serve.limits import Limits
from rtparse.serve.problems import answer_problems

HTTP = httpx.Client(verify=False, timeout=30)  # one for all: to make one takes longer than most requests

Serve = Callable[..., str]
ImageFile = Callable[..., bytes]


def post(url: str, data: bytes, kind: str = "image/png", **query: str) -> httpx.Response:
    return HTTP.post(f"{url}/api/parse", content=data, headers={"Content-Type": kind}, params=query, timeout=30)


def painted(answer: dict[str, object]) -> NDArray[np.uint8]:
    """The labels of format=json."""
    runs = np.reshape(answer["runs"], (-1, 2))
    return np.repeat(runs[:, 0], runs[:, 1]).astype(np.uint8).reshape(answer["height"], answer["width"])


def problem(answer: httpx.Response) -> str:
    """The code of a refusal, which says what was got and expected, in the one form."""
    error = answer.json()["error"]
    assert set(error) == {"code", "got", "expected"}
    assert error["got"]
    assert error["expected"]
    return str(error["code"])


@pytest.mark.parametrize(
    ("kind", "size_wh"),
    [
        ("PNG", (96, 64)),  # of the network's size
        ("PNG", (333, 77)),  # letterboxed, odd
        ("JPEG", (640, 360)),
        ("WEBP", (64, 200)),  # upright
        ("AVIF", (128, 128)),
        ("BMP", (31, 31)),
        ("TIFF", (50, 40)),
        ("GIF", (50, 40)),
        ("PNG", (1, 1)),
    ],
)
def test_labels_are_those_of_the_parser_in_every_form(
    url: str, parser: Parser, image_file: ImageFile, kind: str, size_wh: tuple[int, int]
) -> None:
    data = image_file(kind, size_wh)
    expected = parser(np.asarray(Image.open(BytesIO(data)).convert("RGB"))[:, :, ::-1].copy())
    width, height = size_wh

    as_json = post(url, data).json()
    assert (as_json["width"], as_json["height"]) == size_wh
    assert np.array_equal(painted(as_json), expected.labels)
    assert {each["name"]: each["share"] for each in as_json["found"]} == pytest.approx(expected.share())
    assert {each["name"]: tuple(each["box"]) for each in as_json["found"] if each["box"]} == expected.boxes()

    grey = post(url, data, format="png")
    assert grey.headers["content-type"] == "image/png"
    assert np.array_equal(cv2.imdecode(np.frombuffer(grey.content, np.uint8), cv2.IMREAD_UNCHANGED), expected.labels)

    as_rle = post(url, data, format="rle").json()
    for name, mask in as_rle["masks"].items():
        assert mask["size"] == [height, width]
        assert np.array_equal(coco.decode(mask).astype(bool), expected.mask(name))
    assert set(as_rle["masks"]) == set(expected.share()) - {"background"}


def test_the_answer_of_a_real_network_is_that_of_the_parser(serve: Serve, image_file: ImageFile, tiny_onnx) -> None:
    data = image_file("PNG", (200, 120))
    with Parser(tiny_onnx) as parser:
        expected = parser(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        assert len(np.unique(expected.labels)) > 1
        assert np.array_equal(painted(post(serve(parser=parser), data).json()), expected.labels)


def test_a_photograph_is_upright_as_its_camera_was(url: str, image_file: ImageFile) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    answer = post(url, image_file("JPEG", (96, 64), exif=exif), "image/jpeg").json()
    assert (answer["width"], answer["height"]) == (64, 96)


def test_classes_come_with_their_colours(url: str, parser: Parser) -> None:
    classes = HTTP.get(f"{url}/api/classes").json()["classes"]
    assert [each["name"] for each in classes] == list(CLASSES)
    assert [each["id"] for each in classes] == list(range(20))
    assert [tuple(bytes.fromhex(each["colour"][1:])) for each in classes] == [tuple(c) for c in parser.palette_rgb]


@pytest.mark.parametrize(
    ("kind", "data", "query", "status", "code"),
    [
        ("text/html", b"<p>", {}, 415, "media-type"),
        ("multipart/form-data; boundary=x", b"--x", {}, 415, "media-type"),
        ("image/png", b"", {}, 422, "empty"),
        ("image/png", b"no picture at all", {}, 422, "image"),
        ("image/png", b"\x89PNG\r\n\x1a\n" + bytes(40), {}, 422, "image"),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, 422, "image"),  # decoded by nobody
        ("application/octet-stream", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {}, 422, "image"),
        ("image/png", b"x", {"format": "tiff"}, 422, "parameter"),
    ],
)
def test_what_is_no_image_is_refused_in_words(
    url: str, kind: str, data: bytes, query: dict[str, str], status: int, code: str
) -> None:
    answer = post(url, data, kind, **query)
    assert answer.status_code == status
    assert problem(answer) == code


def test_a_cut_off_image_is_refused(url: str, image_file: ImageFile) -> None:
    data = image_file("JPEG", (640, 360))
    answer = post(url, data[: len(data) // 2])
    assert (answer.status_code, problem(answer)) == (422, "image")


def test_too_many_bytes_are_refused_declared_or_not(serve: Serve, image_file: ImageFile) -> None:
    url, data = serve(limits=Limits(image_bytes=1000)), image_file("PNG")
    assert len(data) > 1000
    declared = post(url, data)
    assert (declared.status_code, problem(declared)) == (413, "bytes")
    chunked = HTTP.post(f"{url}/api/parse", content=iter([data]), headers={"Content-Type": "image/png"})
    assert (chunked.status_code, problem(chunked)) == (413, "bytes")


def test_an_upload_that_crawls_ends(serve: Serve) -> None:
    address = urlsplit(serve(limits=Limits(upload_seconds=0.3)))
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        head = (
            f"POST /api/parse HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: image/png\r\nContent-Length: 99\r\n"
        )
        connection.sendall(f"{head}\r\nfew".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_an_unknown_path_and_method_are_answered_alike(url: str) -> None:
    assert problem(HTTP.get(f"{url}/etc/passwd")) == "http"
    assert HTTP.get(f"{url}/api/parse").status_code == 405
    assert problem(HTTP.get(f"{url}/api/parse")) == "http"


def test_no_more_images_wait_than_the_limit_says(
    image_file: ImageFile, serve: Serve, answer: NDArray[np.uint8]
) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        entered.release()
        assert leave.wait(20)
        return np.zeros((len(batch), 20, 32, 48), np.float32)

    with Parser(FakeEngine(slow), size=(64, 96)) as parser, ThreadPoolExecutor() as pool:
        url = serve(parser=parser, limits=Limits(requests=1))
        answers = [pool.submit(post, url, image_file("PNG")) for _ in range(3)]  # one runs, two wait
        assert entered.acquire(timeout=20)
        refused = post(url, image_file("PNG"))
        while refused.status_code != 503:  # the others may not be there yet
            refused = post(url, image_file("PNG"))
        assert problem(refused) == "busy"
        assert refused.headers["retry-after"] == "2"
        assert HTTP.get(f"{url}/healthz").json() == {"status": "ok"}
        leave.set()
        assert [each.result().status_code for each in answers] == [200] * 3


def test_a_model_that_fails_says_nothing_of_the_server(serve: Serve, image_file: ImageFile) -> None:
    def broken(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        raise ValueError("in /srv/secret/model.onnx")

    with Parser(FakeEngine(broken), size=(64, 96)) as parser:
        answer = post(serve(parser=parser), image_file("PNG"))
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_the_api_alone_is_an_app_of_its_own(
    running: Callable[[FastAPI], AbstractContextManager[str]], parser: Parser, image_file: ImageFile
) -> None:
    with running(api_app(parser)) as url:
        labels = painted(post(url, image_file("PNG")).json())
        assert np.array_equal(labels, parser(np.zeros((64, 96, 3), np.uint8)).labels)
        assert HTTP.get(f"{url}/healthz").json() == {"status": "ok"}
        assert problem(HTTP.get(f"{url}/")) == "http"


def test_its_routes_may_be_part_of_another_app(
    running: Callable[[FastAPI], AbstractContextManager[str]], parser: Parser, image_file: ImageFile
) -> None:
    app = FastAPI()
    app.include_router(api_router(parser))
    answer_problems(app)
    with running(app) as url:
        assert post(url, image_file("PNG")).json()["width"] == 96
        refused = post(url, b"no picture")
    assert (refused.status_code, problem(refused)) == (422, "image")


def test_openapi_documents_all_that_is_served(url: str) -> None:
    schema = HTTP.get(f"{url}/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/classes",
        "/api/limits",
        "/api/parse",
        "/api/sources",
        "/api/videos",
        "/api/videos/{name}",
        "/api/videos/{name}/result",
        "/healthz",
        "/metrics",
    }
    answers = schema["paths"]["/api/parse"]["post"]["responses"]
    assert "image/png" in answers["200"]["content"]
    for status in ("400", "408", "413", "415", "422", "500", "503"):
        assert answers[status]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/ProblemAnswer"
        }
