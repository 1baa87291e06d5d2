"""Every refusal and failure as one form of JSON: what was got, what was expected, what to do."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from rtparse.errors import RtparseError

_LOG = logging.getLogger("rtparse")


class ProblemBody(BaseModel):
    """code: a word for programs. got, expected: for people, in one line each."""

    code: str
    got: str
    expected: str


class ProblemAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ProblemBody


class Problem(Exception):  # noqa: N818 - an answer, not a defect
    """Raised by a handler to answer with `status` and the JSON of a ProblemAnswer."""

    def __init__(self, status: int, code: str, got: str, expected: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(got, expected)
        self.status = status
        self.headers = headers or {}
        self.body = ProblemAnswer(error=ProblemBody(code=code, got=got, expected=expected))

    def answer(self) -> JSONResponse:
        return JSONResponse(self.body.model_dump(), self.status, self.headers)


def busy(got: str, expected: str) -> Problem:
    """Too much is going on: 503, to be tried again."""
    return Problem(503, "busy", got, expected, {"Retry-After": "2"})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses answer with a ProblemAnswer."""
    return {status: {"model": ProblemAnswer, "description": _MEANINGS[status]} for status in statuses}


_MEANINGS = {
    400: "The request is not HTTP as it should be, or was broken off.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another host.",
    404: "There is nothing of that name.",
    405: "The method is not offered here.",
    408: "The upload took too long.",
    409: "The video is not finished.",
    413: "The upload, or the picture in it, is too large.",
    415: "The media type is not taken.",
    421: "The Host header names another machine.",
    422: "The picture or video cannot be read, or a parameter cannot be meant.",
    500: "The model failed.",
    503: "Too many requests at once; try again.",
}


def answer_problems(app: FastAPI, defect_headers: Mapping[str, str] = {}) -> None:
    """Make every failure of an app's handlers a ProblemAnswer. Messages of the library stay in the log: they may name
    files of this machine.

    defect_headers: of the answer to an error that nobody expected, which no middleware of the app sees.
    """

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        return problem.answer()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        got = f"{request.method} {request.url.path}"
        expected = f"a route of /openapi.json ({error.detail})"
        return Problem(error.status_code, "http", got, expected, dict(error.headers or {})).answer()

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        got = f"{place} = {json.dumps(first.get('input'), default=str)[:200]}"
        return Problem(422, "parameter", got, first["msg"]).answer()

    @app.exception_handler(RtparseError)
    async def _failed(request: Request, error: RtparseError) -> JSONResponse:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
        return Problem(500, "failed", "an error of the model", "the server's log says more").answer()

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> JSONResponse:
        got, expected = "an unexpected error", "the server's log says more"
        return Problem(500, "defect", got, expected, dict(defect_headers)).answer()
