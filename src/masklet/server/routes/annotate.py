"""Routes of annotations: objects, prompts, drawn masks, acceptance, undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from masklet.masks.rle import CocoRle, decode_rle
from masklet.prompts import Prompt
from masklet.server import schemas
from masklet.server.annotation.history import Step
from masklet.server.annotation.workspace import Workspace
from masklet.server.classes import ensure_classes
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
from masklet.server.settings import Limits
from masklet.server.studio import StudioState

router = APIRouter(tags=["annotations"])

MAX_FRAMES = 240
"""Frames in one answer of `GET /media/{mid}/masks`."""

REASONS = {
    "present": "No fault was found, but the model is least sure here",
    "uncertain": "This mask may be wrong",
    "occluded": "The object goes out of view here",
    "lost": "The object was lost here",
}


A = TypeVar("A", bound=BaseModel)


class _NoContent(BaseModel):
    """The answer of routes that return no body."""


def change_once(
    studio: StudioState, medium: MediumRow, key: str | None, kind: type[A], change: Callable[[Workspace], A]
) -> A:
    """Change a medium and return the answer; if a request with this key has been answered, only return its answer.

    The change and the answer are written in one transaction: a server that is killed at any moment has either stored
    the change and its answer, or nothing.
    """
    with studio.workspace(medium) as workspace:
        with workspace.transaction():
            kept = None if key is None else workspace.store.answer(key)
            answer = change(workspace) if kept is None else kind.model_validate_json(kept)
            if key is not None and kept is None:
                workspace.store.remember(key, answer.model_dump_json())
        studio.note_change(medium, workspace)
        return answer


def _frame(medium: MediumRow, workspace: Workspace, frame_index: int) -> schemas.FrameMasksInfo:
    return frame_info(frame_index, workspace.masks(frame_index), medium.fps)


def _read_ahead(medium: MediumRow, studio: StudioState, frame_index: int) -> None:
    """Decode a frame into the cache before the medium's lock is taken: one far from a key frame can take seconds."""
    check_frame(medium, frame_index)
    studio.reader(medium).frame(frame_index)


@router.get("/media/{mid}/objects")
def list_objects(medium: CurrentMedium, studio: CurrentStudio) -> schemas.ObjectList:
    """List the objects of a medium."""
    with studio.workspace(medium) as workspace:
        return schemas.ObjectList(objects=objects_info(workspace.store))


@router.post("/media/{mid}/objects", status_code=201)
def create_object(
    body: schemas.ObjectCreate, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.SegmentObject:
    """Create an object without prompts."""
    ensure_classes(studio, medium.project_id, {body.class_name or "": None})

    def create(workspace: Workspace) -> schemas.SegmentObject:
        row = workspace.create_object(name=body.name, class_name=body.class_name, color=body.color)
        return object_info(row, [])

    return change_once(studio, medium, key, schemas.SegmentObject, create)


@router.patch("/media/{mid}/objects/{oid}")
def change_object(
    body: schemas.ObjectChange, medium: CurrentMedium, oid: ObjectId, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.SegmentObject:
    """Change an object's name, class or colour; lock, unlock, hide or show it."""
    changes = body.model_dump(exclude_none=True)
    ensure_classes(studio, medium.project_id, {body.class_name or "": None})

    def change(workspace: Workspace) -> schemas.SegmentObject:
        (row,) = workspace.change_objects([oid], **changes)
        return object_info(row, workspace.store.prompted_frames().get(oid, []))

    return change_once(studio, medium, key, schemas.SegmentObject, change)


@router.patch("/media/{mid}/objects")
def change_objects(
    body: schemas.ObjectsChange, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.ObjectList:
    """Change the class or colour of several objects; lock, unlock, hide or show them: one step to undo."""
    changes = body.model_dump(exclude_none=True, exclude={"ids"})
    ensure_classes(studio, medium.project_id, {body.class_name or "": None})

    def change(workspace: Workspace) -> schemas.ObjectList:
        workspace.change_objects(body.ids, **changes)
        return schemas.ObjectList(objects=objects_info(workspace.store))

    return change_once(studio, medium, key, schemas.ObjectList, change)


@router.post("/media/{mid}/objects/delete", status_code=204)
def delete_objects(
    body: schemas.ObjectsDelete, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> Response:
    """Delete several objects with their prompts and masks: one step to undo."""
    return _delete(studio, medium, key, body.ids)


@router.delete("/media/{mid}/objects/{oid}", status_code=204)
def delete_object(medium: CurrentMedium, oid: ObjectId, studio: CurrentStudio, key: IdempotencyKey = None) -> Response:
    """Delete an object with its prompts and masks; it can be undone."""
    return _delete(studio, medium, key, [oid])


def _delete(studio: StudioState, medium: MediumRow, key: str | None, object_ids: Sequence[int]) -> Response:
    def delete(workspace: Workspace) -> _NoContent:
        workspace.delete_objects(object_ids)
        return _NoContent()

    change_once(studio, medium, key, _NoContent, delete)
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
    """Set the prompt of an object on a frame, in place of an earlier one."""
    side, size_hw = studio.engine.info.low_res_size, (medium.height, medium.width)
    # Decoded here, and not under the medium's lock, for which others may be waiting.
    answer = None if body.answer is None else local_answer(body.answer, side, size_hw)
    prompt = Prompt.from_request(body)
    if answer is None:
        _read_ahead(medium, studio, i)

    def set_(workspace: Workspace) -> schemas.PromptAnswer:
        candidates = workspace.set_prompt(
            oid,
            i,
            prompt,
            candidate=body.candidate,
            local_answer=answer,
        )
        return schemas.PromptAnswer(
            frame=_frame(medium, workspace, i),
            candidates=[candidate_info(candidate) for candidate in candidates],
            revision=workspace.store.revision,
        )

    return change_once(studio, medium, key, schemas.PromptAnswer, set_)


@router.delete("/media/{mid}/frames/{i}/objects/{oid}/prompt")
def delete_prompt(
    medium: CurrentMedium, i: FrameIndex, oid: ObjectId, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.FrameAnswer:
    """Remove the prompt of an object on a frame."""

    def remove(workspace: Workspace) -> schemas.FrameAnswer:
        workspace.remove_prompt(oid, i)
        rows = workspace.masks(i)
        frame = frame_info(i, rows, medium.fps) if rows else None
        return schemas.FrameAnswer(frame=frame, revision=workspace.store.revision)

    return change_once(studio, medium, key, schemas.FrameAnswer, remove)


@router.put("/media/{mid}/frames/{i}/objects/{oid}/mask")
def set_mask(
    body: schemas.MaskRequest,
    medium: CurrentMedium,
    i: FrameIndex,
    oid: ObjectId,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> schemas.FrameAnswer:
    """Set the mask of an object on a frame; an empty mask marks the object as absent."""
    rle = CocoRle(size=body.rle.size, counts=body.rle.counts)
    mask = decode_rle(rle, (medium.height, medium.width))  # not under the medium's lock, as above
    _read_ahead(medium, studio, i)

    def draw(workspace: Workspace) -> schemas.FrameAnswer:
        workspace.draw_mask(oid, i, mask)
        return schemas.FrameAnswer(frame=_frame(medium, workspace, i), revision=workspace.store.revision)

    return change_once(studio, medium, key, schemas.FrameAnswer, draw)


@router.get("/media/{mid}/frames/{i}/prompts")
def get_prompts(medium: CurrentMedium, i: FrameIndex, studio: CurrentStudio) -> schemas.FramePrompts:
    """Return the prompts on a frame."""
    check_frame(medium, i)
    with studio.workspace(medium) as workspace:
        prompts = workspace.store.prompts(frame_index=i)
        return schemas.FramePrompts(prompts={str(prompt.object_id): prompt_info(prompt) for prompt in prompts})


@router.get("/media/{mid}/masks")
def get_masks(
    medium: CurrentMedium,
    studio: CurrentStudio,
    start: Annotated[int, Query(ge=0, le=2**31)] = 0,
    stop: Annotated[int | None, Query(ge=0, le=2**31, description="The first frame after the range.")] = None,
    step: Annotated[int, Query(ge=1, le=100_000)] = 1,
    objects: Annotated[str | None, Query(max_length=4000, pattern=r"^\d{1,9}(,\d{1,9})*$", examples=["1,2"])] = None,
    before: Annotated[
        bool,
        Query(
            description="Return each mask as it was before it last changed, of all objects and frames from start on; "
            "`step` and `objects` are ignored."
        ),
    ] = False,
) -> schemas.FrameMasksList:
    """Return masks of at most 240 frames; frames without masks are left out."""
    end = medium.num_frames if stop is None else min(stop, medium.num_frames)
    end = min(end, start + MAX_FRAMES * step)
    ids = None if objects is None else [int(part) for part in objects.split(",")]
    if before:
        end, step, ids = min(end, start + MAX_FRAMES), 1, None
    with studio.workspace(medium) as workspace:
        store = workspace.store
        _check_size(*store.shown_size(start, end, step, ids), studio.limits)
        frames = store.shown_before(start, end) if before else store.shown(start, end, step, ids)
        return schemas.FrameMasksList(
            frames=[frame_info(index, rows, medium.fps) for index, rows in frames.items()],
            revision=workspace.store.revision,
        )


def _check_size(num_masks: int, num_bytes: int, limits: Limits) -> None:
    """Refuse an answer with masks that would take too much memory.

    Raises:
        ApiError: 422, saying what to ask for instead.
    """
    if num_masks > limits.answer_masks or num_bytes > limits.answer_mask_bytes:
        raise ApiError(
            422,
            "too_many_masks",
            f"these frames have {num_masks:,} masks of {num_bytes / 2**20:.1f} MB, and at most {limits.answer_masks:,} "
            f"of {limits.answer_mask_bytes / 2**20:g} MB fit one answer: ask for fewer frames or objects",
            "stop",
        )


@router.get("/media/{mid}/timeline")
def get_timeline(medium: CurrentMedium, studio: CurrentStudio) -> schemas.Timeline:
    """Return everything but the pixels of all frames."""
    with studio.workspace(medium) as workspace:
        return timeline_info(workspace.store, medium.num_frames)


@router.post("/media/{mid}/accept")
def accept(
    body: schemas.AcceptRequest, medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.AcceptAnswer:
    """Accept masks, so that nothing changes them any more; or take that back."""
    if not body.start < body.stop <= medium.num_frames:
        raise ApiError(
            422,
            "range",
            f"start must be below stop, and stop at most {medium.num_frames}, got {body.start} and {body.stop}",
            "stop",
        )

    def mark(workspace: Workspace) -> schemas.AcceptAnswer:
        count = workspace.accept(body.start, body.stop, object_ids=body.objects, accepted=body.accepted)
        return schemas.AcceptAnswer(num_masks=count, revision=workspace.store.revision)

    return change_once(studio, medium, key, schemas.AcceptAnswer, mark)


@router.get("/media/{mid}/suggestions")
def get_suggestions(
    medium: CurrentMedium, studio: CurrentStudio, k: Annotated[int, Query(ge=1, le=100)] = 5
) -> schemas.SuggestionList:
    """Return the tracked frames on which a click would help most, the most useful first."""
    with studio.workspace(medium) as workspace:
        return schemas.SuggestionList(
            suggestions=[
                schemas.SuggestionInfo(
                    frame_index=suggestion.frame_index,
                    object_id=suggestion.object_id,
                    reason=REASONS[suggestion.status],
                    score=suggestion.doubt,
                )
                for suggestion in workspace.suggestions(k)
            ]
        )


@router.post("/media/{mid}/undo")
def undo(medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None) -> schemas.HistoryAnswer:
    """Undo the last operation: a prompt, a hand edit, an object, an acceptance, an import, a tracking run."""
    return _undo_or_redo(medium, studio, key, Workspace.undo)


@router.post("/media/{mid}/redo")
def redo(medium: CurrentMedium, studio: CurrentStudio, key: IdempotencyKey = None) -> schemas.HistoryAnswer:
    """Redo the operation that was undone last."""
    return _undo_or_redo(medium, studio, key, Workspace.redo)


def _undo_or_redo(
    medium: MediumRow, studio: StudioState, key: str | None, change: Callable[[Workspace], Step | None]
) -> schemas.HistoryAnswer:
    def answer(workspace: Workspace) -> schemas.HistoryAnswer:
        step = change(workspace)
        return schemas.HistoryAnswer(
            **_history(workspace),
            what=None if step is None else step.title,
            frame_index=None if step is None else step.frame_index,
            object_id=None if step is None else step.object_id,
            revision=workspace.store.revision,
        )

    with studio.workspace(medium) as workspace:
        workspace.check_not_tracking("undo or redo")  # checked before waiting for the current frame
    return change_once(studio, medium, key, schemas.HistoryAnswer, answer)


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
    """Return the titles of what would be undone and redone."""
    with studio.workspace(medium) as workspace:
        return schemas.History(**_history(workspace))
