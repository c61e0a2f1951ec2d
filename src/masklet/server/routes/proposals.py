"""Routes of proposals: masks that are found on a frame without prompts, and the objects that a user makes of them."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from masklet.masks.rle import CocoRle, rle_area
from masklet.server import job_schemas
from masklet.server.annotation.new_objects import GivenMask, NewObject
from masklet.server.annotation.workspace import Workspace
from masklet.server.classes import ensure_classes
from masklet.server.convert import frame_info, objects_info
from masklet.server.database import MediumRow
from masklet.server.depends import CurrentJob, CurrentMedium, CurrentStudio, CurrentUser, IdempotencyKey, check_frame
from masklet.server.errors import ApiError, NotFoundError
from masklet.server.jobs import Job, job_info
from masklet.server.proposals import PROPOSALS_FILE, find_proposals
from masklet.server.results import result_file, result_path
from masklet.server.routes.annotate import change_once
from masklet.server.routes.responses import TOO_BUSY
from masklet.server.studio import StudioState

router = APIRouter(tags=["jobs"])


@router.post("/media/{mid}/proposals", status_code=202, responses=TOO_BUSY)
def propose(
    body: job_schemas.ProposalsRequest,
    medium: CurrentMedium,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Find masks on a frame where no object is yet. Nothing changes until proposals are accepted."""
    check_frame(medium, body.frame_index)
    job = Job("propose", user.id, medium.project_id, medium.id, partial(_propose, studio, medium, body.frame_index))
    return job_info(studio.jobs.submit(job, key))


def _propose(studio: StudioState, medium: MediumRow, frame_index: int, job: Job) -> None:
    with studio.workspace(medium) as workspace:
        objects = [row.rle for row in workspace.masks(frame_index) if rle_area(row.rle)]
    rgb = studio.reader(medium).frame(frame_index).rgb
    proposals, usual = find_proposals(studio.engine, rgb, objects, on_progress=job.progress)
    answer = job_schemas.ProposalList(frame_index=frame_index, usual_confidence=round(usual, 4), proposals=proposals)
    with result_file(studio, job, PROPOSALS_FILE) as path:
        path.write_text(answer.model_dump_json(), encoding="utf-8")
    job.message = f"{len(proposals)} proposals" if proposals else "nothing was found"


@router.get("/jobs/{jid}/proposals")
def get_proposals(job: CurrentJob, studio: CurrentStudio) -> job_schemas.ProposalList:
    """Return the proposals of a job, with scores to filter them by."""
    if job.kind != "propose":
        raise NotFoundError("this job makes no proposals")
    if job.state != "done":
        raise ApiError(409, "not_done", f"the job is {job.state}: it has no proposals")
    path = result_path(studio, job.id, PROPOSALS_FILE)
    if not path.is_file():
        raise NotFoundError("the proposals have been removed meanwhile: find them again")
    return job_schemas.ProposalList.model_validate_json(path.read_bytes())


@router.post("/jobs/{jid}/proposals/accept")
def accept_proposals(
    body: job_schemas.ProposalsAcceptRequest,
    job: CurrentJob,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.ProposalsAnswer:
    """Make an object of each of these proposals: one step to undo."""
    listed = get_proposals(job, studio)
    medium = studio.medium(user, job.media_id or "")
    numbers = list(dict.fromkeys(body.numbers))
    if max(numbers) >= len(listed.proposals):
        raise ApiError(
            422, "numbers", f"there is no proposal {max(numbers)}: there are {len(listed.proposals)}", "numbers"
        )
    ensure_classes(studio, medium.project_id, {body.class_name or "": None})
    new = [_new_object(listed.proposals[number], listed.frame_index, body.class_name or "") for number in numbers]

    def add(workspace: Workspace) -> job_schemas.ProposalsAnswer:
        written, _ = workspace.add_objects(f"Accept {len(new)} proposal{'s' * (len(new) != 1)}", new)
        infos = {info.id: info for info in objects_info(workspace.store)}
        return job_schemas.ProposalsAnswer(
            objects=[infos[row.object_id] for row in written],
            frame=frame_info(listed.frame_index, workspace.masks(listed.frame_index), medium.fps),
            revision=workspace.store.revision,
        )

    return change_once(studio, medium, key, job_schemas.ProposalsAnswer, add)


def _new_object(proposal: job_schemas.Proposal, frame_index: int, class_name: str) -> NewObject:
    rle = CocoRle(size=proposal.rle.size, counts=proposal.rle.counts)
    return NewObject("", {frame_index: GivenMask(rle, proposal.iou_prediction, proposal.confidence)}, class_name)
