"""The JSON API for videos: upload one, watch how far it is, fetch the result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from rtparse.errors import UsageError
from rtparse.parser import Parser
from rtparse.serve.jobs import State, VideoJob, VideoJobs, VideoOptions
from rtparse.serve.limits import Limits
from rtparse.serve.problems import Problem, ProblemBody, busy, documented
from rtparse.serve.uploads import check_media_type, receive

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TOO_LARGE = frozenset({"pixels", "memory"})

Id = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{22}$", description="As the answer to the upload says.")]


class View(StrEnum):
    """What the result shows."""

    OVERLAY = "overlay"
    LABELS = "labels"
    SIDE_BY_SIDE = "side-by-side"


class VideoStatus(BaseModel):
    """frames: parsed so far. total: of the video, where it says. progress: 0..1, where `total` is known. error: why it
    failed."""

    id: str
    state: State
    frames: int
    total: int | None
    progress: float | None
    error: ProblemBody | None


def videos_router(parser: Parser, jobs: VideoJobs, limits: Limits) -> APIRouter:
    """Its routes. `jobs` is the caller's to close."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/api/videos",
        status_code=202,
        responses=documented(400, 408, 413, 415, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "A video file: MP4, MOV, MKV, WebM, AVI, MPEG or GIF.",
                "content": {"video/*": _BINARY, "application/octet-stream": _BINARY},
            }
        },
    )
    async def upload(
        request: Request,
        response: Response,
        view: View = View.OVERLAY,
        alpha: Annotated[float, Query(ge=0, le=1, description="Strength of the overlay.")] = 0.5,
        classes: Annotated[str | None, Query(max_length=2000, description="face,hair: show only these.")] = None,
        smooth: Annotated[float, Query(ge=0, lt=1, description="Share of the past in a running mean.")] = 0.0,
    ) -> VideoStatus:
        """Take the video that is the body of the request; it is parsed when those before it are."""
        check_media_type(request, "video")
        names = None if classes is None else tuple(name.strip() for name in classes.split(",") if name.strip())
        try:
            parser.check_classes(names)
        except UsageError as error:
            raise Problem(422, "parameter", error.message, error.hint) from None
        no_room = busy("a video for which there is no room on the disk", "another try later")
        try:
            job = jobs.reserve(VideoOptions(view, alpha, names, smooth))
        except OSError:
            raise no_room from None
        if job is None:
            raise busy(f"{limits.videos} videos under way", "another try when one of them is done")
        try:
            with job.upload.open("wb") as file:
                await receive(request, limits.video_bytes, limits.upload_seconds, file.write)
        except OSError:
            await run_in_threadpool(jobs.remove, job)
            raise no_room from None
        except BaseException:
            jobs.remove(job)
            raise
        jobs.start(job)
        response.headers["Location"] = f"/api/videos/{job.id}"
        return _status(job)

    def find(name: str) -> VideoJob:
        job = jobs.find(name)
        if job is None:
            raise Problem(404, "no-video", f"the id {name}", "one of an upload that has not been removed since")
        return job

    @router.get("/api/videos/{name}", responses=documented(404, 422))
    async def status(name: Id) -> VideoStatus:
        """How far a video is."""
        return _status(find(name))

    @router.get(
        "/api/videos/{name}/result",
        response_class=FileResponse,
        responses={
            200: {"description": "The parsed video.", "content": {"video/mp4": _BINARY}},
            **documented(404, 409, 422),
        },
    )
    async def result(name: Id) -> FileResponse:
        """The parsed video: MP4, H.264, with the sound of the upload."""
        job = find(name)
        if job.error is not None:
            raise Problem(409, job.error[0], job.error[1], job.error[2])
        if job.state is not State.DONE:
            raise Problem(409, "unfinished", f"a video that is {job.state}", "state done, see /api/videos/ID")
        return FileResponse(job.result, media_type="video/mp4", filename="parsed.mp4")

    @router.delete("/api/videos/{name}", status_code=204, responses=documented(404, 422))
    async def remove(name: Id) -> None:
        """End the work on a video and delete it."""
        await run_in_threadpool(jobs.remove, find(name))

    return router


def _status(job: VideoJob) -> VideoStatus:
    if job.state is State.DONE:
        progress: float | None = 1.0
    else:
        progress = min(1.0, job.frames / job.total) if job.total else None
    error = None
    if job.error is not None:
        error = ProblemBody(code=job.error[0], got=job.error[1], expected=job.error[2])
    return VideoStatus(id=job.id, state=job.state, frames=job.frames, total=job.total, progress=progress, error=error)
