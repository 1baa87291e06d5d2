"""The JSON API for images. It keeps nothing from one request to the next, so any number of servers may share the work.

`api_app(parser)` is a FastAPI app of its own; `app.include_router(api_router(parser))`, and `answer_problems(app)` of
problems.py, make it part of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from rtparse import __version__
from rtparse.frame import Frame
from rtparse.parser import Parser
from rtparse.parsing import Parsing
from rtparse.serve.answers import Classes, CocoMasks, RunLengths, class_infos, coco_masks, png, run_lengths
from rtparse.serve.limits import Limits
from rtparse.serve.problems import Problem, answer_problems, busy, documented
from rtparse.serve.sandbox import DecodeError, ImageDecoder
from rtparse.serve.uploads import check_media_type, receive

TITLE = "rtparse"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TOO_LARGE = frozenset({"pixels", "memory"})


class LabelFormat(StrEnum):
    """How labels are answered."""

    JSON = "json"
    RLE = "rle"
    PNG = "png"


def api_app(parser: Parser, limits: Limits | None = None) -> FastAPI:
    """The JSON API as an app of its own: POST /api/parse, GET /api/classes, /healthz and /openapi.json.

    parser: the caller's, who closes it after the app has ended. It checks neither Host nor Origin nor token: put it
    behind a proxy that does, or use `rtparse serve`.
    """
    app = FastAPI(title=TITLE, version=__version__, docs_url=None, redoc_url=None)
    app.include_router(api_router(parser, limits))
    answer_problems(app)
    return app


def api_router(parser: Parser, limits: Limits | None = None, decoder: ImageDecoder | None = None) -> APIRouter:
    """Its routes, to be included in another app; that app also needs `problems.answer_problems`.

    decoder: the caller's; None makes one, which ends with the app's lifespan.
    """
    bounds = limits or Limits()
    decode = decoder or ImageDecoder(bounds.pixels, bounds.decode_seconds)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield
        if decoder is None:
            await run_in_threadpool(decode.close)

    router = APIRouter(lifespan=lifespan)
    turn = asyncio.Semaphore(bounds.requests)
    waiting = 0

    @router.get("/healthz", tags=["server"])
    async def healthz() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    @router.get("/api/classes", tags=["images"])
    async def classes() -> Classes:
        """The model's classes and their colours."""
        return Classes(classes=class_infos(parser.engine.metadata.classes, parser.palette_rgb))

    @router.post(
        "/api/parse",
        tags=["images"],
        response_model=RunLengths | CocoMasks,
        responses={
            200: {"description": "The labels of every pixel.", "content": {"image/png": _BINARY}},
            **documented(400, 408, 413, 415, 422, 500, 503),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "An image file: JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF (its first picture).",
                "content": {"image/*": _BINARY, "application/octet-stream": _BINARY},
            }
        },
    )
    async def parse(
        request: Request,
        label_format: Annotated[
            LabelFormat,
            Query(
                alias="format",
                description="json: shares, boxes and run lengths of ids; rle: a COCO mask for each class; "
                "png: 8-bit grey, the value of a pixel is its class id.",
            ),
        ] = LabelFormat.JSON,
    ) -> Response:
        """Find the class of every pixel of the image that is the body of the request."""
        nonlocal waiting
        check_media_type(request, "image")
        if waiting >= 3 * bounds.requests:
            raise busy(f"{waiting} images at once", f"at most {3 * bounds.requests}")
        waiting += 1
        try:
            data = bytearray()
            await receive(request, bounds.image_bytes, bounds.upload_seconds, data.extend)
            async with turn:
                parsing = await run_in_threadpool(_parse, data)
                return await run_in_threadpool(_answer, parsing, label_format)
        finally:
            waiting -= 1

    def _parse(data: bytearray) -> Parsing:
        try:
            image = decode(data)
        except DecodeError as error:
            raise Problem(413 if error.code in _TOO_LARGE else 422, error.code, error.got, error.expected) from None
        return parser(Frame(image))

    return router


def _answer(parsing: Parsing, label_format: LabelFormat) -> Response:
    if label_format is LabelFormat.PNG:
        return Response(png(parsing), media_type="image/png")
    body = run_lengths(parsing) if label_format is LabelFormat.JSON else coco_masks(parsing)
    return JSONResponse(body.model_dump())
