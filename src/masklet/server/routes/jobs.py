"""Routes of jobs: tracking, discovery, progress, results."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Annotated

import anyio
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, StreamingResponse

from masklet.discovery import DiscoveryConfig
from masklet.errors import OutputError
from masklet.server import job_schemas
from masklet.server.annotation.discovery import Discovery
from masklet.server.convert import frame_info
from masklet.server.database import JobRow, MediumRow, UserRow
from masklet.server.depends import CurrentJob, CurrentMedium, CurrentStudio, CurrentUser, IdempotencyKey
from masklet.server.errors import ApiError, NotFoundError
from masklet.server.jobs import ENDED, Job, job_info
from masklet.server.results import result_path
from masklet.server.routes.responses import TOO_BUSY
from masklet.server.studio import StudioState

router = APIRouter(tags=["jobs"])

HEARTBEAT_S = 15.0
"""Seconds after which a silent event stream sends a comment, so that proxies keep it open."""


@router.post("/media/{mid}/track", status_code=202, responses=TOO_BUSY)
def track(
    body: job_schemas.TrackRequest,
    medium: CurrentMedium,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Track objects through the video. Masks are kept frame by frame; a cancelled job loses none of them."""
    _check_range(medium, body.start, body.stop)
    earlier = studio.jobs.answered(user.id, key)
    if earlier is not None:
        return job_info(earlier)
    studio.jobs.check("track", user.id, medium.id)
    with studio.workspace(medium) as workspace, workspace.lock:
        workspace.trackable_ids(body.objects)  # fail now rather than in the job
    job = Job("track", user.id, medium.project_id, medium.id, partial(_track, studio, medium, body))
    return job_info(studio.jobs.submit(job, key))


def _check_range(medium: MediumRow, start: int | None, stop: int | None) -> None:
    end = medium.num_frames if stop is None else stop
    if (start or 0) >= min(end, medium.num_frames):
        raise ApiError(
            422, "range", f"start must be below stop and {medium.num_frames}, got {start} and {stop}", "start"
        )


def _track(studio: StudioState, medium: MediumRow, body: job_schemas.TrackRequest, job: Job) -> None:
    def set_total(total: int) -> None:
        job.total = total

    with studio.workspace(medium) as workspace:
        frames = workspace.track(
            body.direction,
            start=body.start,
            stop=body.stop,
            object_ids=body.objects,
            only_changed=body.only_changed,
            only_missing=body.only_missing,
            on_total=set_total,
        )
        done = 0
        try:
            for frame_index, rows in frames:
                done += 1
                studio.metrics.frames.inc()
                job.tell("masks", frame_info(frame_index, rows, medium.fps).model_dump(mode="json"))
                job.progress(done)
            job.total = done
        finally:
            frames.close()
            studio.note_change(medium, workspace)
        if not done:
            job.message = (
                f"nothing {'is missing' if body.only_missing else 'has changed'}, so there was nothing to track"
            )


@router.post("/media/{mid}/discover", status_code=202, responses=TOO_BUSY)
def discover(
    body: job_schemas.DiscoverRequest,
    medium: CurrentMedium,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Find objects in the video without prompts, and track them: each becomes an object once it is confirmed."""
    _check_range(medium, body.start, body.stop)
    job = Job("discover", user.id, medium.project_id, medium.id, partial(_discover, studio, medium, body))
    return job_info(studio.jobs.submit(job, key))


def _discover(studio: StudioState, medium: MediumRow, body: job_schemas.DiscoverRequest, job: Job) -> None:
    config = DiscoveryConfig.from_options(
        level=body.level, every=body.every, max_objects=body.max_objects, min_score=body.min_score
    )
    first = body.start or 0
    job.total = min(body.stop or medium.num_frames, medium.num_frames) - first

    def on_end(discovery: Discovery) -> None:
        count = discovery.num_objects
        job.message = f"{count} object{'s' * (count != 1)} found" if count else "nothing was found"
        if discovery.num_refused:
            most = f"{body.max_objects} object{'s are' if body.max_objects != 1 else ' is'}"
            job.message += f"; there was more, but at most {most} tracked at once"

    with studio.workspace(medium) as workspace:
        frames = workspace.discover(config, body.direction, start=body.start, stop=body.stop, on_end=on_end)
        done, latest = 0, -1
        try:
            for frame_index, rows in frames:
                if latest > frame_index and done <= job.total:
                    # From here on late objects are followed back.
                    job.total = done + frame_index + 1 - first
                done, latest = done + 1, frame_index
                studio.metrics.frames.inc()
                job.tell("masks", frame_info(frame_index, rows, medium.fps).model_dump(mode="json"))
                job.progress(done)
            job.total = done
        finally:
            frames.close()
            studio.note_change(medium, workspace)


@router.get("/jobs")
def list_jobs(
    user: CurrentUser, studio: CurrentStudio, media_id: Annotated[str | None, Query(max_length=16)] = None
) -> job_schemas.JobList:
    """List your jobs, newest first."""
    active = {job.id: job for job in studio.jobs.of_user(user.id, media_id)}
    listed = [job_info(active.get(record.id, record)) for record in studio.jobs.records(user.id, media_id)]
    return job_schemas.JobList(jobs=listed)


@router.get("/jobs/{jid}")
def get_job(job: CurrentJob) -> job_schemas.JobInfo:
    return job_info(job)


@router.post("/jobs/{jid}/cancel")
def cancel(job: CurrentJob, studio: CurrentStudio) -> job_schemas.JobInfo:
    """Cancel a job after its current frame; what has been done stays."""
    if isinstance(job, Job) and not job.has_ended:
        studio.jobs.cancel(job)
    return job_info(job)


@router.get(
    "/jobs/{jid}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events: progress, masks, done, ..."}},
)
async def events(job: CurrentJob, user: CurrentUser, studio: CurrentStudio) -> StreamingResponse:
    """Server-sent events: `progress` (a job), `masks` (a frame's, as it is tracked), and at the end `done`, `failed`
    or `cancelled` (a job). A client that reconnects gets the current state first."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    stream = _stream(studio, user, job) if isinstance(job, Job) else _ended(job)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(studio: StudioState, user: UserRow, job: Job) -> AsyncIterator[str]:
    listener = job.listen()
    waited = 0.0
    try:
        while not studio.is_stopping:
            event = await listener.next(1.0)
            if event is None:
                waited += 1.0
                if waited >= HEARTBEAT_S:
                    waited = 0.0
                    with suppress(OutputError):  # a database that is away for a moment ends no stream
                        if not await anyio.to_thread.run_sync(studio.accounts.has_access, user.id):
                            return
                    yield ": still here\n\n"
                continue
            waited = 0.0
            yield _event(event.name, event.data, event.number)
            if event.name in ENDED:
                return
    finally:
        job.leave(listener)


async def _ended(record: JobRow) -> AsyncIterator[str]:
    yield _event(record.state, job_info(record).model_dump(mode="json"), 0)


def _event(name: str, data: object, number: int) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


@router.get(
    "/jobs/{jid}/result",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file."}},
)
def result(job: CurrentJob, studio: CurrentStudio) -> FileResponse:
    """Download the file that a job has made."""
    if job.state != "done":
        raise ApiError(409, "not_done", f"the job is {job.state}: it has no result")
    path = None if job.result_name is None else result_path(studio, job.id, job.result_name)
    if path is None or not path.is_file():
        raise NotFoundError("the job has no file, or it has been removed meanwhile: run it again")
    return FileResponse(path, filename=job.result_name, headers={"cache-control": "private, no-store"})
