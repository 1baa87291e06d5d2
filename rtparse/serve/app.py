"""The whole of `rtparse serve`: the JSON API, the page, live views, metrics, and the guard around them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from rtparse import __version__
from rtparse.parser import Parser
from rtparse.serve.api import TITLE, api_router
from rtparse.serve.feeds import Feed, told_apart
from rtparse.serve.guard import SECURITY_HEADERS, Guard
from rtparse.serve.jobs import VideoJobs
from rtparse.serve.limits import Limits
from rtparse.serve.live import live_router
from rtparse.serve.metrics import CONTENT_TYPE, Measured, Metrics
from rtparse.serve.problems import answer_problems
from rtparse.serve.sandbox import ImageDecoder
from rtparse.serve.videos import videos_router
from rtparse.sources.live import LiveSource

PAGE = Path(__file__).parent / "page"


def server_app(
    parser: Parser,
    sources: Sequence[tuple[str, Callable[[], LiveSource]]] = (),
    *,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Iterable[str] = (),
) -> FastAPI:
    """The app; for one event loop. It holds threads and a folder from now on, until its lifespan ends.

    parser: the caller's, to be closed after that. sources: as `feed_source` makes them.
    token: what visitors must show; None lets in everyone who can reach the server.
    hosts: names by which the server may be called, besides localhost and addresses.
    """
    bounds = limits or Limits()
    metrics = Metrics()
    held = ExitStack()
    folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="rtparse-serve-", ignore_cleanup_errors=True)))
    decoder = held.enter_context(ImageDecoder(bounds.pixels, bounds.decode_seconds))
    # Large images, and what only claims to be one, must not hold up cameras.
    live_decoder = held.enter_context(ImageDecoder(bounds.live_pixels, bounds.live_seconds))
    jobs = held.enter_context(VideoJobs(parser, bounds, folder, metrics.frames.labels("video").inc))
    metrics.watch_videos(jobs.counts)
    counted = partial(metrics.count_live, "source")
    names = told_apart([name for name, _ in sources])
    feeds = [
        held.enter_context(Feed(parser, name, opener, counted))
        for name, (_, opener) in zip(names, sources, strict=True)
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(held.close)

    app = FastAPI(title=TITLE, version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(api_router(parser, bounds, decoder))
    app.include_router(videos_router(parser, jobs, bounds))
    app.include_router(live_router(parser, feeds, live_decoder, bounds, metrics))
    answer_problems(app, SECURITY_HEADERS)

    @app.get("/metrics", tags=["server"], response_class=Response)
    def read_metrics() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.read(), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_middleware(Guard, token=token, hosts=hosts, login=(PAGE / "login.html").read_text())
    app.add_middleware(Measured, metrics=metrics)
    return app
