"""Requests made up from the OpenAPI document: every answer is one that it describes, and none is a defect.

RTPARSE_FUZZ=1000 makes up so many right and so many wrong ones for each operation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings, strategies

from rtparse import Parser
from rtparse.serve.app import server_app
from rtparse.serve.limits import Limits

schemathesis = pytest.importorskip("schemathesis", reason='needs pip install "rtparse[dev]"')

EXAMPLES = int(os.environ.get("RTPARSE_FUZZ", "8"))
WITHOUT_PARAMETERS = ["GET /api/classes", "GET /api/limits", "GET /api/sources", "GET /healthz", "GET /metrics"]
WITH_PARAMETERS = [
    "POST /api/parse",
    "POST /api/videos",
    "DELETE /api/videos/{name}",
    "GET /api/videos/{name}",
    "GET /api/videos/{name}/result",
]
RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE

for media_type in ("image/*", "video/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, strategies.binary(max_size=2000))


@pytest.fixture(scope="module")
def operations(running: Callable[[FastAPI], AbstractContextManager[str]], parser: Parser) -> Iterator[dict[str, Any]]:
    with running(server_app(parser, limits=Limits(videos=10**6))) as url:  # it is not to answer that it is busy
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        yield {found.ok().label: found.ok() for found in schema.get_all_operations()}


def test_all_operations_are_tried(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted(WITHOUT_PARAMETERS + WITH_PARAMETERS)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, RIGHT) for name in WITHOUT_PARAMETERS + WITH_PARAMETERS),
        *((name, WRONG) for name in WITH_PARAMETERS),
    ],
)
def test_every_answer_is_as_documented(operations: dict[str, Any], name: str, mode: Any) -> None:
    # Random bytes are no image, so what the document allows need not be accepted; and parameters that it does not name
    # are passed over.
    excluded = schemathesis.checks.CHECKS.get_by_names(["positive_data_acceptance", "negative_data_rejection"])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 100,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operations[name].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    check()
