"""Taking the body of a request, no more of it and no longer than the limits say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from rtparse.serve.problems import Problem


def check_media_type(request: Request, family: str) -> None:
    """Refuse what says to be something else than `family`/... or application/octet-stream: Problem 415."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/octet-stream" and not said.startswith(f"{family}/"):
        got = f"Content-Type {said[:100]!r}"
        raise Problem(415, "media-type", got, f"{family}/... or application/octet-stream, and the file as the body")


async def receive(request: Request, most: int, seconds: float, take: Callable[[bytes], object]) -> None:
    """Give the body to `take` in pieces. Raises Problem 413 for more than `most` bytes, 408 after so many seconds, 400
    where it breaks off, 422 for none."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise Problem(413, "bytes", f"{declared} bytes", f"at most {most} bytes")
    taken = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                taken += len(chunk)
                if taken > most:
                    raise Problem(413, "bytes", f"more than {most} bytes", f"at most {most} bytes")
                take(chunk)
    except TimeoutError:
        raise Problem(408, "slow", f"{taken} bytes in {seconds:g} s", "the whole upload in that time") from None
    except ClientDisconnect:
        raise Problem(400, "broken-off", f"{taken} bytes and a closed connection", "the whole body") from None
    if taken == 0:
        raise Problem(422, "empty", "an empty body", "the file as the body of the request")
