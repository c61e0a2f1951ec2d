"""Objects, prompts, hand edits, masks, accepting, history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from masklet.prompts import Prompt
from masklet.server import schemas
from masklet.server.annotation.workspace import Workspace
from masklet.server.convert import (
    candidate_info,
    frame_info,
    local_answer,
    object_info,
    objects_info,
    prompt_info,
    timeline_info,
)
from masklet.server.database import MediumRow
from masklet.server.depends import CurrentMedium, CurrentStudio, FrameIndex, IdempotencyKey, ObjectId, check_frame
from masklet.server.errors import ApiError
from masklet.server.studio import StudioState

router = APIRouter(tags=["annotations"])

MAX_FRAMES = 240
"""Of one request for masks."""

REASONS = {
    "present": "Nothing stands out; the model is least sure here",
    "uncertain": "Something speaks against this mask",
    "occluded": "The object is hidden from here on",
    "lost": "The object has been lost",
}


A = TypeVar("A", bound=BaseModel)


class _Done(BaseModel):
    """An answer that says nothing else."""


def _once(workspace: Workspace, key: str | None, kind: type[A], work: Callable[[], A]) -> A:
    """Do what is asked and answer; or, where the same wish has been answered already, only answer again."""
    if key is None:
        return work()
    with workspace.lock:  # the first one may be at work still
        known = workspace.store.answer(key)
        if known is not None:
            return kind.model_validate_json(known)
        answer = work()
        workspace.store.remember(key, answer.model_dump_json())
        return answer


def _frame(medium: MediumRow, workspace: Workspace, frame_index: int) -> schemas.FrameMasksInfo:
    return frame_info(frame_index, workspace.masks(frame_index), medium.fps)


@router.get("/media/{mid}/objects")
def list_objects(medium: CurrentMedium, studio: CurrentStudio) -> schemas.ObjectList:
    with studio.workspace(medium) as workspace:
        return schemas.ObjectList(objects=objects_info(workspace.store))


@router.post("/media/{mid}/objects", status_code=201)
def create_object(
    body: schemas.ObjectCreate, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.SegmentObject:
    with studio.workspace(medium) as workspace:

        def create() -> schemas.SegmentObject:
            one = workspace.create_object(name=body.name, class_name=body.class_name, color=body.color)
            studio.note_change(medium, workspace)
            return object_info(one, [])

        return _once(workspace, key, schemas.SegmentObject, create)


@router.patch("/media/{mid}/objects/{oid}")
def change_object(
    body: schemas.ObjectChange, medium: CurrentMedium, oid: ObjectId, studio: CurrentStudio
) -> schemas.SegmentObject:
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    with studio.workspace(medium) as workspace:
        one = workspace.change_object(oid, **changes)
        studio.note_change(medium, workspace)
        return object_info(one, workspace.store.prompted_frames().get(oid, []))


@router.delete("/media/{mid}/objects/{oid}", status_code=204)
def delete_object(medium: CurrentMedium, oid: ObjectId, studio: CurrentStudio, key: IdempotencyKey = None) -> Response:
    """With its prompts and masks; it can be undone."""
    with studio.workspace(medium) as workspace:

        def delete() -> _Done:
            workspace.delete_object(oid)
            studio.note_change(medium, workspace)
            return _Done()

        _once(workspace, key, _Done, delete)
    return Response(status_code=204)


@router.put("/media/{mid}/frames/{i}/objects/{oid}/prompt")
def set_prompt(
    body: schemas.PromptRequest,
    medium: CurrentMedium,
    i: FrameIndex,
    oid: ObjectId,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> schemas.PromptAnswer:
    """Say what an object is on a frame, in place of what was said there before."""
    with studio.workspace(medium) as workspace:

        def say() -> schemas.PromptAnswer:
            candidates = workspace.prompt(
                oid,
                i,
                Prompt.from_request(body),
                candidate=body.candidate,
                given=None if body.answer is None else local_answer(body.answer, studio.engine.info.low_res_size),
            )
            return schemas.PromptAnswer(
                frame=_frame(medium, workspace, i),
                candidates=[candidate_info(one) for one in candidates],
                revision=studio.note_change(medium, workspace),
            )

        return _once(workspace, key, schemas.PromptAnswer, say)


@router.delete("/media/{mid}/frames/{i}/objects/{oid}/prompt")
def delete_prompt(
    medium: CurrentMedium, i: FrameIndex, oid: ObjectId, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.FrameAnswer:
    """Unsay what was said of an object on a frame."""
    with studio.workspace(medium) as workspace:

        def unsay() -> schemas.FrameAnswer:
            workspace.unprompt(oid, i)
            rows = workspace.masks(i)
            return schemas.FrameAnswer(
                frame=frame_info(i, rows, medium.fps) if rows else None, revision=studio.note_change(medium, workspace)
            )

        return _once(workspace, key, schemas.FrameAnswer, unsay)


@router.put("/media/{mid}/frames/{i}/objects/{oid}/mask")
def set_mask(
    body: schemas.MaskRequest,
    medium: CurrentMedium,
    i: FrameIndex,
    oid: ObjectId,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> schemas.FrameAnswer:
    """Say that an object's mask on a frame is this one; an empty one says that it is not there."""
    with studio.workspace(medium) as workspace:

        def draw() -> schemas.FrameAnswer:
            workspace.draw(oid, i, {"size": body.rle.size, "counts": body.rle.counts})
            return schemas.FrameAnswer(
                frame=_frame(medium, workspace, i), revision=studio.note_change(medium, workspace)
            )

        return _once(workspace, key, schemas.FrameAnswer, draw)


@router.get("/media/{mid}/frames/{i}/prompts")
def get_prompts(medium: CurrentMedium, i: FrameIndex, studio: CurrentStudio) -> schemas.FramePrompts:
    """What was said on a frame."""
    check_frame(medium, i)
    with studio.workspace(medium) as workspace:
        prompts = workspace.store.prompts(frame_index=i)
        return schemas.FramePrompts(prompts={str(prompt.object_id): prompt_info(prompt) for prompt in prompts})


@router.get("/media/{mid}/masks")
def get_masks(
    medium: CurrentMedium,
    studio: CurrentStudio,
    start: Annotated[int, Query(ge=0, le=2**31)] = 0,
    stop: Annotated[int | None, Query(ge=0, le=2**31, description="The first frame after.")] = None,
    step: Annotated[int, Query(ge=1, le=100_000)] = 1,
    objects: Annotated[str | None, Query(max_length=4000, pattern=r"^\d{1,9}(,\d{1,9})*$", examples=["1,2"])] = None,
    before: Annotated[
        bool,
        Query(
            description="Each as it was before it last changed, to compare: of every object and frame from start on, "
            "whatever step and objects say."
        ),
    ] = False,
) -> schemas.FrameMasksList:
    """Masks of at most 240 frames; frames without any are left out."""
    end = medium.num_frames if stop is None else min(stop, medium.num_frames)
    end = min(end, start + MAX_FRAMES * step)
    ids = None if objects is None else [int(part) for part in objects.split(",")]
    with studio.workspace(medium) as workspace:
        store = workspace.store
        frames = (
            store.shown_before(start, min(end, start + MAX_FRAMES)) if before else store.shown(start, end, step, ids)
        )
        return schemas.FrameMasksList(
            frames=[frame_info(index, rows, medium.fps) for index, rows in frames.items()],
            revision=workspace.store.revision,
        )


@router.get("/media/{mid}/timeline")
def get_timeline(medium: CurrentMedium, studio: CurrentStudio) -> schemas.Timeline:
    """Of all frames, everything but the pixels."""
    with studio.workspace(medium) as workspace:
        return timeline_info(workspace.store, medium.num_frames)


@router.post("/media/{mid}/accept")
def accept(
    body: schemas.AcceptRequest, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.AcceptAnswer:
    """Say that masks are good, so that nothing changes them; or take that back."""
    if not body.start < body.stop <= medium.num_frames:
        raise ApiError(
            422,
            "range",
            f"start must be below stop, and stop at most {medium.num_frames}, got {body.start} and {body.stop}",
            "stop",
        )
    with studio.workspace(medium) as workspace:

        def mark() -> schemas.AcceptAnswer:
            count = workspace.accept(body.start, body.stop, object_ids=body.objects, accepted=body.accepted)
            return schemas.AcceptAnswer(num_masks=count, revision=studio.note_change(medium, workspace))

        return _once(workspace, key, schemas.AcceptAnswer, mark)


@router.get("/media/{mid}/suggestions")
def get_suggestions(
    medium: CurrentMedium, studio: CurrentStudio, k: Annotated[int, Query(ge=1, le=100)] = 5
) -> schemas.SuggestionList:
    """The tracked frames on which a click would help most, the most useful first."""
    with studio.workspace(medium) as workspace:
        return schemas.SuggestionList(
            suggestions=[
                schemas.SuggestionInfo(
                    frame_index=one.frame_index,
                    object_id=one.object_id,
                    reason=REASONS[one.status],
                    score=one.doubt,
                )
                for one in workspace.suggestions(k)
            ]
        )


@router.post("/media/{mid}/undo")
def undo(medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None) -> schemas.HistoryAnswer:
    """Take back the last operation: a prompt, a hand edit, an object, an acceptance, an import, a tracking run."""
    return _turn_over(medium, studio, key, is_undo=True)


@router.post("/media/{mid}/redo")
def redo(medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None) -> schemas.HistoryAnswer:
    """Do again what was undone last."""
    return _turn_over(medium, studio, key, is_undo=False)


def _turn_over(medium: MediumRow, studio: StudioState, key: str | None, *, is_undo: bool) -> schemas.HistoryAnswer:
    with studio.workspace(medium) as workspace:
        step = workspace.undo(key) if is_undo else workspace.redo(key)
        revision = studio.note_change(medium, workspace)
        return schemas.HistoryAnswer(
            **_history(workspace),
            what=None if step is None else step.title,
            frame_index=None if step is None else step.frame_index,
            object_id=None if step is None else step.object_id,
            revision=revision,
        )


def _history(workspace: Workspace) -> dict[str, Any]:
    undo_title, redo_title = workspace.store.history()
    return {
        "can_undo": undo_title is not None,
        "can_redo": redo_title is not None,
        "undo": undo_title,
        "redo": redo_title,
    }


@router.get("/media/{mid}/history")
def history(medium: CurrentMedium, studio: CurrentStudio) -> schemas.History:
    """What could be undone and redone."""
    with studio.workspace(medium) as workspace:
        return schemas.History(**_history(workspace))
