"""Converts rows and records of the server to the schemas of the API, and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Literal, cast

import numpy as np

from masklet.errors import PromptError
from masklet.masks.rle import CocoRle, decode_rle, encode_rle, rle_area, rle_box_xyxy
from masklet.server import database, result_schemas, schemas
from masklet.server.annotation.prompted_tracker import Candidate, LocalAnswer
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore, Mark, SavedPrompt
from masklet.server.listing import ProjectSummary, state_of
from masklet.server.settings import API_BASE
from masklet.tracking.mask_rows import MaskRow

STATUS_LETTERS = {"present": "p", "uncertain": "u", "occluded": "o", "lost": "l"}


def project_info(project: database.ProjectRow, summary: ProjectSummary) -> schemas.ProjectInfo:
    return schemas.ProjectInfo(
        id=project.id,
        name=project.name,
        created_at=project.created_at,
        updated_at=project.updated_at,
        num_media=sum(summary.num_media.values()),
        progress=schemas.ProjectProgress(
            media=schemas.MediaByState(**summary.num_media),
            num_frames=summary.num_frames,
            num_accepted=summary.num_accepted,
            num_objects=summary.num_objects,
            num_in_trash=summary.num_in_trash,
        ),
        thumbnail_url=None if summary.first_medium is None else thumbnail_url(summary.first_medium),
        classes=[class_info(row) for row in project.classes],
    )


def class_info(row: database.ClassRow) -> schemas.ClassInfo:
    return schemas.ClassInfo(id=row.id, name=row.name, color=row.color, key=row.key)


def thumbnail_url(media_id: str) -> str:
    return f"{API_BASE}/media/{media_id}/frames/0.jpg?width=480"


def medium_info(
    medium: database.MediumRow, store: AnnotationStore | None = None, classes: Sequence[str] = ()
) -> schemas.MediumInfo:
    """Describe a medium by its database row and the classes of its objects; with `store`, by its annotations now."""
    summary, counts = medium.summary, None if store is None else store.work_counts()
    return schemas.MediumInfo(
        id=medium.id,
        project_id=medium.project_id,
        kind=cast(Literal["image", "video"], medium.kind),
        name=medium.name,
        width=medium.width,
        height=medium.height,
        num_frames=medium.num_frames,
        fps=medium.fps,
        duration_s=medium.duration_s,
        has_audio=medium.has_audio,
        created_at=medium.created_at,
        updated_at=medium.updated_at,
        thumbnail_url=thumbnail_url(medium.id),
        num_objects=medium.num_objects if counts is None else counts.num_objects,
        classes=list(classes) if counts is None else [name for name in counts.classes if name],
        progress=schemas.MediumProgress(
            state=cast(schemas.MediumState, summary.state) if counts is None else state_of(medium.num_frames, counts),
            num_marked=(counts or summary).num_marked,
            num_accepted=(counts or summary).num_accepted,
            num_to_review=(counts or summary).num_to_review,
        ),
        trashed_at=summary.trashed_at,
        revision=medium.revision if store is None else store.revision,
    )


def object_info(item: AnnotatedObject, prompted: Sequence[int]) -> schemas.SegmentObject:
    return schemas.SegmentObject(
        id=item.object_id,
        name=item.name,
        class_name=item.class_name,
        color=item.color,
        locked=item.locked,
        hidden=item.hidden,
        prompted_frames=list(prompted),
    )


def objects_info(store: AnnotationStore) -> list[schemas.SegmentObject]:
    prompted = store.prompted_frames()
    return [object_info(item, prompted.get(item.object_id, [])) for item in store.objects()]


def prompt_info(prompt: SavedPrompt) -> schemas.PromptInfo:
    return schemas.PromptInfo(
        **prompt.prompt.to_request(),
        has_mask=prompt.prompt.kind == "mask",
        candidate=prompt.candidate,
    )


def mask_info(row: MaskRow) -> schemas.ObjectMask:
    box = rle_box_xyxy(row.rle)
    return schemas.ObjectMask(
        object_id=row.object_id,
        rle=schemas.Rle(size=row.rle["size"], counts=row.rle["counts"]),
        box=None if box is None else box.tolist(),
        area=rle_area(row.rle),
        **{name: _rounded(name, getattr(row, name)) for name in _COPIED},
    )


_COPIED = schemas.ObjectMask.model_fields.keys() & {field.name for field in fields(MaskRow)} - {"object_id", "rle"}
"""Fields with the same name in the API and in the row."""


def _rounded(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3 if name == "object_score" else 4)
    return value


def frame_info(frame_index: int, rows: Sequence[MaskRow], fps: float) -> schemas.FrameMasksInfo:
    return schemas.FrameMasksInfo(
        frame_index=frame_index,
        time_s=rows[0].time_s if rows else frame_index / (fps or 1.0),
        accepted=bool(rows) and all(row.accepted for row in rows),
        objects=[mask_info(row) for row in rows],
    )


def timeline_info(store: AnnotationStore, num_frames: int) -> schemas.Timeline:
    marks = store.marks()
    by_object: dict[int, list[Mark]] = {item.object_id: [] for item in store.objects()}
    pending: dict[int, bool] = {}
    review: set[int] = set()
    for mark in marks:
        by_object.setdefault(mark.object_id, []).append(mark)
        pending[mark.frame_index] = pending.get(mark.frame_index, True) and mark.accepted
        if mark.review and not (mark.accepted or mark.prompted):
            review.add(mark.frame_index)
    return schemas.Timeline(
        num_frames=num_frames,
        revision=store.revision,
        accepted=ranges(index for index, accepted in sorted(pending.items()) if accepted),
        objects=[_lane(object_id, lane, num_frames) for object_id, lane in sorted(by_object.items())],
        review=sorted(review),
    )


def _lane(object_id: int, marks: Sequence[Mark], num_frames: int) -> schemas.TimelineObject:
    letters = ["."] * num_frames
    confidences = [-1] * num_frames
    for mark in marks:
        if mark.frame_index < num_frames:
            letters[mark.frame_index] = STATUS_LETTERS[mark.status]
            confidences[mark.frame_index] = round(100 * min(1.0, max(0.0, mark.confidence)))
    return schemas.TimelineObject(
        object_id=object_id,
        status="".join(letters),
        confidence=confidences,
        prompted=[mark.frame_index for mark in marks if mark.prompted],
        stale=ranges(mark.frame_index for mark in marks if mark.stale),
    )


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return ascending numbers as ranges [start, stop)."""
    merged: list[list[int]] = []
    for number in numbers:
        if merged and merged[-1][1] == number:
            merged[-1][1] = number + 1
        else:
            merged.append([number, number + 1])
    return merged


def asset_info(asset: database.AssetRow) -> result_schemas.AssetInfo:
    kind = cast(Literal["image", "video"], asset.kind)
    return result_schemas.AssetInfo(id=asset.id, kind=kind, name=asset.name, url=f"{API_BASE}/assets/{asset.id}")


def candidate_info(candidate: Candidate) -> schemas.CandidateMask:
    return schemas.CandidateMask(
        rle=schemas.Rle(size=candidate.rle["size"], counts=candidate.rle["counts"]),
        iou_prediction=round(candidate.iou_prediction, 4),
        confidence=round(candidate.confidence, 4),
    )


def local_answer(answer: schemas.LocalDecode, side: int, size_hw: tuple[int, int]) -> LocalAnswer:
    """Convert an answer that the page decoded itself.

    Raises:
        PromptError: the logits are not (side, side) finite numbers.
        DataError: the mask is damaged, or does not have the size of the frames.
    """
    try:
        logits = np.frombuffer(base64.b64decode(answer.logits, validate=True), "<f4")
    except (binascii.Error, ValueError):
        logits = np.zeros(0, np.float32)
    if logits.size != side * side or not np.isfinite(logits).all():
        raise PromptError(f"answer.logits must be base64 of {side} x {side} finite float32, got {logits.size} numbers")
    rle = encode_rle(decode_rle(CocoRle(size=answer.rle.size, counts=answer.rle.counts), size_hw))
    return LocalAnswer(rle, answer.iou_prediction, answer.object_score, logits.reshape(side, side).astype(np.float32))
