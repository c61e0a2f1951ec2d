"""Lists of media and projects with the progress of the work, from the database alone: annotations stay closed.

The counts of a medium are taken again when a list is asked for after the medium has changed. A list takes the same
number of queries whatever its length. Knows nothing of HTTP.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, case, delete, func, select
from sqlalchemy.orm import Session, contains_eager

from masklet.errors import OutputError
from masklet.server import schemas
from masklet.server.annotation.work_counts import WorkCounts
from masklet.server.database import ClassCountRow, MediumRow, ProjectRow, SummaryRow
from masklet.server.studio import StudioState

logger = logging.getLogger("masklet.server")

STATES: tuple[schemas.MediumState, ...] = ("new", "work", "review", "accepted")
"""States in the order of the work."""


@dataclass(frozen=True, slots=True)
class MediaFilter:
    """Selects media of a project."""

    search: str = ""
    """A part of the name; case does not matter."""
    states: Sequence[schemas.MediumState] = ()
    """Any of these; all if empty."""
    kind: schemas.MediumKind | None = None
    class_name: str | None = None
    """Media with an object of this class; "" finds objects without a class."""
    in_trash: bool = False


@dataclass(frozen=True, slots=True)
class MediaPage:
    """A part of a list of media."""

    media: list[MediumRow]
    total: int
    """Number of media in the whole list."""
    classes: Mapping[str, Sequence[str]]
    """Class names of each medium's objects, by its id."""


@dataclass(slots=True)
class ProjectSummary:
    """Counts of a project."""

    num_media: dict[schemas.MediumState, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    """By state, without the trash."""
    num_frames: int = 0
    num_accepted: int = 0
    """Accepted frames."""
    num_objects: int = 0
    num_in_trash: int = 0
    first_medium: str | None = None
    """Id of the medium whose picture stands for the project."""


def state_of(num_frames: int, counts: WorkCounts) -> schemas.MediumState:
    """Return how far the work on a medium is.

    It is accepted when every frame is; to be reviewed when every frame has masks that are up to date.
    """
    if not counts.num_objects:
        return "new"
    if counts.num_accepted >= num_frames:
        return "accepted"
    return "review" if counts.num_marked >= num_frames and not counts.num_stale else "work"


def refresh_summaries(studio: StudioState, project_ids: Iterable[str]) -> None:
    """Count the annotations of media that have changed since they were counted; on a full disk, lists stay."""
    try:
        _refresh(studio, list(project_ids))
    except OutputError as error:
        logger.warning("the lists do not show the last changes: %s", error)


def _refresh(studio: StudioState, project_ids: list[str]) -> None:
    with studio.summary_lock, studio.database.session() as session:
        is_changed = MediumRow.revision != SummaryRow.revision
        among = MediumRow.project_id.in_(project_ids)
        for medium in session.scalars(_media().where(among, is_changed)).all():
            try:
                counts = WorkCounts.of_file(studio.data.medium(medium.id) / "annotations.db")
            except sqlite3.Error:  # the list then shows the earlier counts
                logger.exception("could not count the annotations of medium %s", medium.id)
                continue
            _write_counts(session, medium, counts)


def _write_counts(session: Session, medium: MediumRow, counts: WorkCounts) -> None:
    summary = medium.summary
    summary.revision = medium.revision
    summary.state = state_of(medium.num_frames, counts)
    summary.num_marked, summary.num_accepted = counts.num_marked, counts.num_accepted
    summary.num_to_review = counts.num_to_review
    session.execute(delete(ClassCountRow).where(ClassCountRow.media_id == medium.id))
    for class_name, num_objects in counts.classes.items():
        session.add(ClassCountRow(media_id=medium.id, class_name=class_name, num_objects=num_objects))


def _media() -> Select[Any]:
    return select(MediumRow).join(MediumRow.summary).options(contains_eager(MediumRow.summary))


def _conditions(project_id: str, chosen: MediaFilter) -> list[ColumnElement[bool]]:
    in_trash = SummaryRow.trashed_at.is_not(None) if chosen.in_trash else SummaryRow.trashed_at.is_(None)
    conditions = [MediumRow.project_id == project_id, in_trash]
    if chosen.search:
        conditions.append(SummaryRow.name_folded.contains(chosen.search.casefold(), autoescape=True))
    if chosen.states:
        conditions.append(SummaryRow.state.in_(chosen.states))
    if chosen.kind is not None:
        conditions.append(MediumRow.kind == chosen.kind)
    if chosen.class_name is not None:
        having = select(ClassCountRow.media_id).where(ClassCountRow.class_name == chosen.class_name)
        conditions.append(MediumRow.id.in_(having))
    return conditions


def _order(sort: schemas.MediumSort) -> list[Any]:
    keys = {
        "added": MediumRow.position,
        "name": SummaryRow.name_key,
        "changed": MediumRow.updated_at,
        "state": case({state: number for number, state in enumerate(STATES)}, value=SummaryRow.state),
        "objects": MediumRow.num_objects,
    }
    key = keys[sort.removeprefix("-")]
    # Media that are equal in the key keep the order in which they were added.
    return [key.desc() if sort.startswith("-") else key, MediumRow.position, MediumRow.id]


def media_page(
    session: Session,
    project_id: str,
    chosen: MediaFilter,
    *,
    sort: schemas.MediumSort = "added",
    offset: int = 0,
    limit: int = 100,
) -> MediaPage:
    """Return media of a project, from `offset` of the list."""
    conditions = _conditions(project_id, chosen)
    rows = session.scalars(_media().where(*conditions).order_by(*_order(sort)).offset(offset).limit(limit)).all()
    total = session.scalar(select(func.count()).select_from(MediumRow).join(MediumRow.summary).where(*conditions)) or 0
    classes: dict[str, list[str]] = {}
    counts = select(ClassCountRow).where(ClassCountRow.media_id.in_([row.id for row in rows]))
    for count in session.scalars(counts.order_by(ClassCountRow.class_name)):
        if count.class_name:
            classes.setdefault(count.media_id, []).append(count.class_name)
    return MediaPage(list(rows), total, classes)


def media_ids(
    session: Session, project_id: str, chosen: MediaFilter, *, sort: schemas.MediumSort = "added", limit: int
) -> list[str]:
    """Return the ids of media of a project."""
    ids = select(MediumRow.id).join(MediumRow.summary).where(*_conditions(project_id, chosen))
    return list(session.scalars(ids.order_by(*_order(sort)).limit(limit)))


def neighbours(session: Session, medium: MediumRow) -> tuple[str | None, str | None, int, int]:
    """Return the ids of the media before and after one in its project, its place from 0, and their number."""
    ids = media_ids(session, medium.project_id, MediaFilter(), limit=10**9)
    index = ids.index(medium.id)
    before = ids[index - 1] if index else None
    after = ids[index + 1] if index + 1 < len(ids) else None
    return before, after, index, len(ids)


def project_summaries(session: Session, project_ids: Sequence[str]) -> dict[str, ProjectSummary]:
    """Return the counts of projects, by id."""
    summaries = {project_id: ProjectSummary() for project_id in project_ids}
    is_trashed = SummaryRow.trashed_at.is_not(None)
    totals = (
        select(
            MediumRow.project_id,
            SummaryRow.state,
            is_trashed,
            func.count(),
            func.sum(MediumRow.num_frames),
            func.sum(SummaryRow.num_accepted),
            func.sum(MediumRow.num_objects),
        )
        .join(MediumRow.summary)
        .where(MediumRow.project_id.in_(project_ids))
        .group_by(MediumRow.project_id, SummaryRow.state, is_trashed)
    )
    for project_id, state, in_trash, count, frames, accepted, objects in session.execute(totals):
        summary = summaries[project_id]
        if in_trash:
            summary.num_in_trash += count
            continue
        summary.num_media[cast(schemas.MediumState, state)] += count
        summary.num_frames += int(frames)
        summary.num_accepted += int(accepted)
        summary.num_objects += int(objects)
    number = func.row_number().over(partition_by=MediumRow.project_id, order_by=(MediumRow.position, MediumRow.id))
    numbered = (
        select(MediumRow.project_id, MediumRow.id, number.label("number"))
        .join(MediumRow.summary)
        .where(MediumRow.project_id.in_(project_ids), SummaryRow.trashed_at.is_(None))
        .subquery()
    )
    for project_id, media_id in session.execute(
        select(numbered.c.project_id, numbered.c.id).where(numbered.c.number == 1)
    ):
        summaries[project_id].first_medium = media_id
    return summaries


def class_counts(session: Session, project: ProjectRow) -> list[schemas.ClassCount]:
    """Return the classes of a project with their numbers of media and objects: its own in their order, then others."""
    counts = (
        select(ClassCountRow.class_name, func.count(), func.sum(ClassCountRow.num_objects))
        .join(SummaryRow, SummaryRow.media_id == ClassCountRow.media_id)
        .join(MediumRow, MediumRow.id == ClassCountRow.media_id)
        .where(MediumRow.project_id == project.id, SummaryRow.trashed_at.is_(None))
        .group_by(ClassCountRow.class_name)
        .order_by(ClassCountRow.class_name)
    )
    found = {name: (media, int(objects)) for name, media, objects in session.execute(counts)}
    names = dict.fromkeys([*(row.name for row in project.classes), *found])
    return [
        schemas.ClassCount(name=name, num_media=found.get(name, (0, 0))[0], num_objects=found.get(name, (0, 0))[1])
        for name in names
    ]
