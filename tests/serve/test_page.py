"""The page in a real Chromium, before a real server whose engine answers with bands of brightness."""

from __future__ import annotations

import base64
import io
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("playwright.sync_api", reason='needs pip install "rtparse[dev]"')

from PIL import Image
from playwright import sync_api
from websockets.sync.client import connect

from rtparse import CLASSES, Parser
from rtparse.classes import PALETTE_RGB
from rtparse.engines.fake import FakeEngine
from rtparse.serve.app import server_app
from rtparse.serve.feeds import feed_source
from rtparse.serve.limits import Limits

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BANDS = [CLASSES.index(name) for name in ("pants", "coat", "face", "background")]
"""What the engine sees in pictures, from dark to bright."""
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ORIGIN = "http://rtparse.test"
TOKEN = "0123456789abcdef"
PATIENCE = 60.0
"""Seconds that a busy machine may take for anything."""

Open = Callable[..., Any]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

PICTURE = "() => { const c = document.getElementById('picture'); return c.hidden ? '' : c.toDataURL(); }"
SIZE = "() => { const c = document.getElementById('picture'); return [c.width, c.height]; }"


def _bands(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    brightness = batch.mean(1)[:, ::2, ::2]
    band = np.digitize(brightness, [-0.8, -0.1, 0.7])
    logits = np.zeros((len(batch), len(CLASSES), *brightness.shape[1:]), np.float32)
    np.put_along_axis(logits, np.array(BANDS)[band][:, None], 10.0, 1)
    return logits


@pytest.fixture(scope="module")
def banded() -> Iterator[Parser]:
    with Parser(FakeEngine(_bands), size=(64, 112)) as parser:
        yield parser


@pytest.fixture(scope="module")
def pictures(walk: Path) -> list[NDArray[np.uint8]]:
    """24 pictures (90, 160, 3) of a person who walks into view."""
    with av.open(str(walk)) as clip:
        frames = itertools.islice(clip.decode(video=0), 24, 96, 3)
        return [frame.reformat(160, 90).to_ndarray(format="bgr24") for frame in frames]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, pictures: list[NDArray[np.uint8]]) -> Path:
    path = tmp_path_factory.mktemp("clip") / "street.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=12, width=160, height=90, pix_fmt="yuv420p")
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def site(running: Open, banded: Parser, clip: Path) -> Iterator[str]:
    """A server with two sources, for all tests that leave it as it is; its address."""
    with running(server_app(banded, [feed_source(str(clip))] * 2)) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, pictures: list[NDArray[np.uint8]]) -> Iterator[Any]:
    """Chromium, whose camera shows the pictures."""
    camera = tmp_path_factory.mktemp("camera") / "walk.mjpeg"
    with camera.open("wb") as file:
        for picture in pictures:
            Image.fromarray(picture[..., ::-1]).resize((320, 180)).save(file, "JPEG", quality=90)
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        f"--host-resolver-rules=MAP {ORIGIN.removeprefix('http://')} 127.0.0.1",
    ]
    with sync_api.sync_playwright() as playwright:
        sandbox = hasattr(os, "geteuid") and os.geteuid() != 0  # Chromium has none for root
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, chromium_sandbox=sandbox)
        launched.new_context().close()
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """`visit(address, quiet=True, **options of a context)`: a page, all of whose errors fail the test unless not quiet.

    Nor may a page ask anything of another server.
    """
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, quiet: bool = True, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        if quiet:
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        base = address.split("#")[0].rstrip("/")
        page.on("request", lambda asked: asked.url.startswith((base, "blob:")) or complaints.append(asked.url))
        page.goto(address)
        page.wait_for_selector("[aria-selected=true], #login")  # its script has run
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _pixels(page: Any) -> NDArray[np.uint8]:
    """What is on the canvas, (H, W, 3) RGB."""
    file = base64.b64decode(page.evaluate(PICTURE).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def _changes(page: Any, times: int = 3) -> None:
    """Wait until the picture has changed so many times."""
    seen = {page.evaluate(PICTURE)}
    deadline = time.monotonic() + PATIENCE
    while len(seen) <= times and time.monotonic() < deadline:
        page.wait_for_timeout(50)
        seen.add(page.evaluate(PICTURE))
    assert len(seen) > times, "the picture stands still"


def _settled(page: Any) -> None:
    """Until what was changed has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _draws_line(page: Any, chart: str) -> None:
    """Wait for the line, which begins at the second value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        picture = np.asarray(Image.open(io.BytesIO(page.locator(chart).screenshot())).convert("RGB"))
        if (np.abs(picture - np.array([0x2B, 0x4F, 0xD0])).max(2) < 40).any():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"no line in {chart}")


def _shown(page: Any) -> set[str]:
    """The classes that are drawn, in the view of labels."""
    _settled(page)
    pixels = _pixels(page)
    return {CLASSES[i] for i in BANDS if (pixels == PALETTE_RGB[i]).all(2).any()}


def _choose_view(page: Any, value: str) -> None:
    page.locator(f"input[name=view][value={value}]").check()


def _photo(pictures: list[NDArray[np.uint8]]) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pictures[12][..., ::-1]).save(file, "PNG")
    return {"name": "street.png", "mimeType": "image/png", "buffer": file.getvalue()}


def test_overlay_of_a_source_moves_and_is_measured(visit: Open, site: str) -> None:
    page = visit(f"{site}/#constructor")  # names no tab
    assert page.title().startswith("Live")
    page.wait_for_selector("#picture:visible")
    _choose_view(page, "labels")
    _settled(page)
    _changes(page)
    assert {"pants", "coat"} <= _shown(page)
    page.wait_for_function("() => parseFloat(document.getElementById('fps').textContent) > 1")
    assert page.locator("#latency").text_content().endswith("s")
    for chart in ("#fps-chart", "#latency-chart"):
        _draws_line(page, chart)
    assert "160" in page.locator("#live-status").text_content()


def test_toggles_views_and_strength_change_the_picture(
    visit: Open, site: str, pictures: list[NDArray[np.uint8]]
) -> None:
    page = visit(f"{site}/#image")
    page.set_input_files("#image-file", _photo(pictures))
    page.wait_for_selector("#picture:visible")
    _settled(page)
    overlay, size = _pixels(page), page.evaluate(SIZE)
    _choose_view(page, "labels")
    assert _shown(page) == {"pants", "coat", "face", "background"}
    page.click("[data-name=coat]")
    assert page.locator("[data-name=coat]").get_attribute("aria-pressed") == "false"
    assert _shown(page) == {"pants", "face", "background"}
    page.click("#none")
    assert _shown(page) == {"background"}
    page.click("#all")
    assert _shown(page) == {"pants", "coat", "face", "background"}

    _choose_view(page, "original")
    _settled(page)
    original = _pixels(page)
    _choose_view(page, "overlay")
    page.locator("#alpha").fill("0")
    _settled(page)
    assert (_pixels(page) == original).all()
    assert (original != overlay).any()
    page.locator("#alpha").fill("50")
    _settled(page)
    assert (_pixels(page) == overlay).all()
    _choose_view(page, "side-by-side")
    _settled(page)
    assert page.evaluate(SIZE) == [2 * size[0], size[1]]
    page.reload()
    page.wait_for_selector("input[name=view][value=side-by-side]:checked", state="attached")


@pytest.mark.parametrize(
    ("view", "options"),
    [
        ("overlay", {}),
        ("side-by-side", {}),  # the right picture is clicked
        ("side-by-side", PHONE),  # the lower one: they stand above one another
    ],
)
def test_click_names_the_class_that_the_server_found_there(
    view: str,
    options: dict[str, Any],
    visit: Open,
    site: str,
    pictures: list[NDArray[np.uint8]],
) -> None:
    page = visit(f"{site}/#image", **options)
    photo = _photo(pictures)
    page.set_input_files("#image-file", photo)
    page.wait_for_selector("#picture:visible")
    _choose_view(page, view)
    _settled(page)
    answer = page.request.post(f"{site}/api/parse?format=png", data=photo["buffer"])
    labels = np.asarray(Image.open(io.BytesIO(answer.body())))
    box, (width, height) = page.locator("#picture").bounding_box(), page.evaluate(SIZE)
    scale = min(box["width"] / width, box["height"] / height)
    left, top = box["x"] + (box["width"] - scale * width) / 2, box["y"] + (box["height"] - scale * height) / 2
    right, down = (width // 2 if width > 2 * height else 0), (height // 2 if height > width else 0)
    assert (right > 0 or down > 0) == (view == "side-by-side")
    seen = set()
    for row, column in [(30, 20), (70, 40), (15, 80), (45, 120), (60, 155)]:
        name = CLASSES[labels[row, column]]
        page.mouse.click(left + scale * (right + column + 0.5), top + scale * (down + row + 0.5))
        share = 100 * (labels == labels[row, column]).mean()
        assert page.locator("#probe strong").text_content() == name
        told = float(page.locator("#probe span span").text_content().split()[0])
        assert told == pytest.approx(share, abs=0.51)
        seen.add(name)
    assert len(seen) > 1


def test_keys_move_the_point_and_choose_the_tabs(visit: Open, site: str, pictures: list[NDArray[np.uint8]]) -> None:
    page = visit(f"{site}/#image")
    page.set_input_files("#image-file", _photo(pictures))
    page.wait_for_selector("#picture:visible")
    page.focus("#picture")
    page.keyboard.press("ArrowDown")
    assert page.locator("#spoken").text_content().endswith("% of the picture")
    assert page.locator("#spoken").text_content().split(",")[0] in CLASSES
    page.keyboard.press("Escape")
    assert page.locator("#probe").is_hidden()
    page.focus("#tab-image")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-video"
    assert page.locator("#tab-video").get_attribute("aria-selected") == "true"


def test_image_is_dropped_and_a_broken_one_explained(visit: Open, site: str, pictures: list[NDArray[np.uint8]]) -> None:
    page = visit(f"{site}/#video", quiet=False)  # Chromium tells of every answer that is no success
    drop = """([bytes, name, kind]) => { const moved = new DataTransfer();
      moved.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
      window.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, { clipboardData: moved })
        : new DragEvent(kind, { dataTransfer: moved })); }"""
    page.wait_for_selector("#tab-video[aria-selected=true]")
    page.evaluate(drop, [list(_photo(pictures)["buffer"]), "street.png", "drop"])
    page.wait_for_selector("#picture:visible")
    assert page.locator("#tab-image").get_attribute("aria-selected") == "true"
    assert "160" in page.locator("#image-status").text_content()
    page.evaluate(drop, [[1, 2, 3], "broken.png", "paste"])
    page.wait_for_selector("#card[role=alert]:visible")
    assert "3 bytes that cannot be decoded" in page.locator("#card-text").text_content()
    page.click("text=Back")
    assert page.locator("#card").is_hidden()


def test_video_is_parsed_and_fetched(visit: Open, site: str, clip: Path, tmp_path: Path) -> None:
    page = visit(f"{site}/#video")
    page.click("[data-name=coat]")
    page.set_input_files("#video-file", clip)
    with page.expect_request("**/api/videos?*") as asked:
        page.click("#video-parse")
    assert "view=overlay" in asked.value.url
    assert "coat" not in asked.value.url
    assert "face" in asked.value.url
    page.wait_for_selector("#video-download:visible")
    assert "24 frames" in page.locator("#video-status").text_content()
    with page.expect_download() as fetched:
        page.click("#video-download")
    fetched.value.save_as(tmp_path / "parsed.mp4")
    with av.open(str(tmp_path / "parsed.mp4")) as parsed:
        sizes = [(frame.width, frame.height) for frame in parsed.decode(video=0)]
    assert sizes == [(160, 90)] * 24
    page.wait_for_function("() => document.getElementById('player').videoWidth === 160")


def test_video_that_is_none_is_explained(visit: Open, site: str) -> None:
    page = visit(f"{site}/#video")
    page.set_input_files("#video-file", {"name": "notes.mp4", "mimeType": "video/mp4", "buffer": b"no video" * 99})
    page.wait_for_selector("#card-title:has-text('No preview')")
    page.click("#video-parse")
    page.wait_for_selector("#card[role=alert]:visible")
    assert "a file that is no container of video" in page.locator("#card-text").text_content()
    assert page.locator("#player").is_hidden()
    page.click("#tab-image")
    page.click("#tab-video")
    assert page.locator("#card-title").text_content() == "This video was not parsed"


def test_video_is_cancelled(visit: Open, serve: Open, clip: Path) -> None:
    go_on = threading.Event()

    def held(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        go_on.wait(PATIENCE)
        return _bands(batch)

    with Parser(FakeEngine(held), size=(64, 112)) as parser:
        url = serve(parser=parser)
        page = visit(f"{url}/#video")
        page.set_input_files("#video-file", clip)
        with page.expect_request("**/api/videos/*") as asked:
            page.click("#video-parse")
        name = asked.value.url.rpartition("/")[2]
        page.wait_for_selector("#video-progress:visible")
        with page.expect_response(f"**/api/videos/{name}"):
            page.click("#video-cancel")
        assert page.locator("#video-status").text_content() == "Cancelled"
        assert page.locator("#video-progress").is_hidden()
        go_on.set()
        assert page.request.get(f"{url}/api/videos/{name}").status == 404


def test_camera_has_one_frame_on_its_way(visit: Open, site: str) -> None:
    page = visit(f"{site}/#camera")
    sockets: list[Any] = []
    ways: list[int] = []

    def follow(socket: Any) -> None:
        sockets.append(socket)
        socket.on("framesent", lambda _: ways.append(1))
        socket.on("framereceived", lambda _: ways.append(-1))

    page.on("websocket", follow)
    _choose_view(page, "labels")
    page.click("text=Start the camera")
    page.wait_for_selector("#picture:visible")
    _changes(page)
    assert {"pants", "coat"} <= _shown(page)
    on_their_way = list(itertools.accumulate(ways))
    assert len(on_their_way) > 6
    assert set(on_their_way) == {0, 1}
    page.locator("input[name=smooth][value=strong]").check()
    _changes(page)
    assert [socket.url.split("?")[1] for socket in sockets] == ["smooth=off", "smooth=strong"]
    page.click("#camera-stop")
    assert page.locator("#picture").is_hidden()
    assert page.evaluate("document.getElementById('camera').srcObject") is None


def test_without_https_the_page_says_why_there_is_no_camera(visit: Open, serve: Open, banded: Parser) -> None:
    port = serve(parser=banded, hosts=[ORIGIN.removeprefix("http://")]).rpartition(":")[2]
    page = visit(f"{ORIGIN}:{port}/#camera", quiet=False)  # Chromium warns of the missing HTTPS, too
    page.click("text=Start the camera")
    assert "only to pages over HTTPS" in page.locator("#card-text").text_content()


def test_second_and_tenth_client_stay_live(visit: Open, serve: Open, banded: Parser, clip: Path) -> None:
    url = serve([feed_source(str(clip))], parser=banded, limits=Limits(clients=10))
    end = threading.Event()
    counts = [0] * 8

    def watch(number: int) -> None:
        with connect(f"{url.replace('http', 'ws')}/live/sources/0") as socket:
            while not end.is_set():
                if isinstance(socket.recv(timeout=PATIENCE), bytes):
                    counts[number] += 1
                    socket.send("next")

    first = visit(url)
    with ThreadPoolExecutor(len(counts)) as threads:
        watching = [threads.submit(watch, number) for number in range(8)]
        try:
            tenth = visit(url)
            for page in (first, tenth):
                page.wait_for_selector("#picture:visible")
                _changes(page)
            late = visit(url)
            late.wait_for_selector("#card-title:has-text('10 clients watch already')")
            first.close()
            late.wait_for_selector("#picture:visible")
            _changes(late)
        finally:
            end.set()
        for thread in watching:
            thread.result()
    assert min(counts) > 6


def test_lost_connection_is_told_and_found_again(visit: Open, running: Open, banded: Parser, clip: Path) -> None:
    sources = [feed_source(str(clip))]
    with running(server_app(banded, sources)) as url:
        page = visit(url, quiet=False)  # Chromium tells of every connection that fails
        page.wait_for_selector("#picture:visible")
    page.wait_for_selector("#note:has-text('Trying again in')")
    assert page.locator("#picture").is_visible(), "the last picture is gone"
    with running(server_app(banded, sources), port=int(url.rpartition(":")[2])):
        page.wait_for_selector("#note", state="hidden")
        _changes(page)


@pytest.mark.parametrize("width", [390, 320])
def test_narrow_screens_never_scroll_sideways(
    width: int, visit: Open, site: str, clip: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    page = visit(site, **PHONE | {"viewport": {"width": width, "height": 700}})
    for mode in ("live", "camera", "image", "video"):
        page.click(f"#tab-{mode}")
        if mode == "image":
            page.set_input_files("#image-file", _photo(pictures))
        if mode == "video":
            page.set_input_files("#video-file", clip)
        else:
            if mode == "camera":
                page.click("text=Start the camera")
            page.wait_for_selector("#picture:visible")
        assert page.evaluate("document.documentElement.scrollWidth") == width, mode
        small = """() => [...document.querySelectorAll("button, select, label:has(input), .tabs button")]
          .filter((e) => e.checkVisibility()).map((e) => [e.innerText, e.getBoundingClientRect().height])
          .filter(([, height]) => height < 40)"""
        assert page.evaluate(small) == [], "too small for a thumb"
    page.wait_for_function("() => document.getElementById('player').videoWidth")
    for mode in ("image", "video"):  # the video keeps its shape when the visitor comes back to it
        page.click(f"#tab-{mode}")
    assert page.evaluate("document.getElementById('stage').style.getPropertyValue('--ratio')")[:5] == "1.777"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_named_and_can_be_read(scheme: str, visit: Open, site: str) -> None:
    page = visit(f"{site}/#image", color_scheme=scheme)
    page.wait_for_selector(".chip")
    unnamed = """() => [...document.querySelectorAll("button, input, select, canvas, progress, [role=radiogroup]")]
      .filter((e) => ![e, ...(e.labels ?? [])].some((each) => each.ariaLabel || each.textContent.trim()))
      .map((e) => e.id || e.outerHTML)"""
    assert page.evaluate(unnamed) == []
    read = """(name) => { const probe = document.body.appendChild(document.createElement("i"));
      probe.style.color = `var(--${name})`; return getComputedStyle(probe).color.match(/[0-9]+/g).map(Number); }"""
    names = ["ground", "surface", "raised", "text", "quiet", "accent", "on-accent", "alarm"]
    colours = {name: page.evaluate(read, name) for name in names}
    # Pairs that meet on the page; WCAG 2.2, 1.4.3 asks for 4.5 to 1.
    for above, below in [
        *itertools.product(("text", "quiet"), ("ground", "surface", "raised")),
        ("accent", "surface"),
        ("alarm", "surface"),
        ("on-accent", "accent"),
    ]:
        assert _contrast(colours[above], colours[below]) >= 4.5, (above, below)


def _contrast(first: list[int], second: list[int]) -> float:
    """(L1 + 0.05) / (L2 + 0.05) of relative luminances, WCAG 2.2."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in np.divide([first, second], 255)]
    dark, bright = sorted(float(colour @ [0.2126, 0.7152, 0.0722]) for colour in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_token_is_asked_for(visit: Open, serve: Open, banded: Parser) -> None:
    url = serve(parser=banded, token=TOKEN)
    page = visit(url, quiet=False)  # the first answer is 401
    page.fill("#token", "not the token at all")
    page.click("text=Continue")
    page.wait_for_selector("text=This is not the token")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("#tab-image")

    brought = visit(f"{url}/#token={TOKEN}", quiet=False)
    brought.wait_for_selector("#tab-image")
    assert TOKEN not in brought.url
