"""The class list of a project: names, colours, hot keys and their order.

Objects refer to a class by its name, which is kept with the object in the medium's own file. So a class that is renamed
is renamed in every medium of the project, in the history of undo too: an undo never brings an old name back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from masklet.server.colors import least_used_color
from masklet.server.database import ClassChangeRow, ClassRow, MediumRow
from masklet.server.errors import ConflictError, NotFoundError
from masklet.server.hot_keys import HOT_KEYS
from masklet.server.studio import StudioState

logger = logging.getLogger("masklet.server")

MAX_CLASSES = 1000
"""Classes of one project."""

_lock = threading.Lock()
"""Held while classes are added or changed: names are unique, and changes reach the media in order."""


def class_colors(studio: StudioState, project_id: str) -> dict[str, str]:
    """Return the colours of a project's classes by name, in the order of the list."""
    with studio.database.session() as session:
        return {row.name: row.color for row in _rows(session, project_id)}


def add_class(
    studio: StudioState, project_id: str, name: str, *, color: str | None = None, key: str | None = None
) -> str:
    """Add a class at the end of the list, and return its id.

    Raises:
        ConflictError: there is one with this name, or the list is full.
    """
    with _lock, studio.database.session() as session:
        rows = _rows(session, project_id)
        _check_new_name(rows, name)
        added = _added(session, project_id, rows, name, color)
        if key is not None:
            _give_key(rows, added, key)
        return added.id


def ensure_classes(studio: StudioState, project_id: str, colors: Mapping[str, str | None]) -> None:
    """Add the classes that the list lacks, in this order.

    Args:
        studio: the server's state.
        project_id: the project.
        colors: colours, or None for the next one, by name. The empty name of objects without a class is skipped.
    """
    with _lock, studio.database.session() as session:
        rows = _rows(session, project_id)
        present = {row.name for row in rows}
        for name, color in colors.items():
            if name and name not in present:
                rows.append(_added(session, project_id, rows, name, color))


def change_class(
    studio: StudioState,
    project_id: str,
    class_id: str,
    *,
    name: str | None = None,
    color: str | None = None,
    key: str | None = None,
    position: int | None = None,
) -> None:
    """Rename or recolour a class, give it a hot key, or move it; None leaves a field as it is.

    Args:
        studio: the server's state.
        project_id: the project.
        class_id: the class.
        name: its new name, which all its objects get.
        color: "#rrggbb"
        key: a hot key, which another class loses; "" removes it.
        position: place in the list, from 0.

    Raises:
        NotFoundError: there is no such class.
        ConflictError: another class has the name.
    """
    with _lock:
        with studio.database.session() as session:
            rows = _rows(session, project_id)
            changed = _class(rows, class_id)
            if name is not None and name != changed.name:
                _check_new_name([row for row in rows if row is not changed], name)
                _record(session, changed, name)
                changed.name = name
            if color is not None:
                changed.color = color
            if key is not None:
                _give_key(rows, changed, key)
            if position is not None:
                rows.remove(changed)
                rows.insert(position, changed)
                _number(rows)
        _finish(studio, project_id)


def merge_class(studio: StudioState, project_id: str, class_id: str, into_id: str) -> None:
    """Give all objects of a class another class, and delete the first.

    Raises:
        NotFoundError: there is no such class.
        ConflictError: it is the same class.
    """
    if class_id == into_id:
        raise ConflictError("a class cannot be merged into itself: choose another class")
    with _lock:
        with studio.database.session() as session:
            rows = _rows(session, project_id)
            into = _class(rows, into_id)
            _remove(session, rows, _class(rows, class_id), into.name)
        _finish(studio, project_id)


def delete_class(studio: StudioState, project_id: str, class_id: str) -> None:
    """Delete a class; its objects have no class then.

    Raises:
        NotFoundError: there is no such class.
    """
    with _lock:
        with studio.database.session() as session:
            rows = _rows(session, project_id)
            _remove(session, rows, _class(rows, class_id), "")
        _finish(studio, project_id)


def finish_class_changes(studio: StudioState) -> None:
    """Finish the changes that were interrupted when the server stopped."""
    with studio.database.session() as session:
        project_ids = set(session.scalars(select(ClassChangeRow.project_id)))
    for project_id in project_ids:
        with _lock:
            _finish(studio, project_id)


def _finish(studio: StudioState, project_id: str) -> None:
    """Change the objects of all media as the recorded changes say, then forget these."""
    with studio.database.session() as session:
        changes = list(
            session.scalars(
                select(ClassChangeRow).where(ClassChangeRow.project_id == project_id).order_by(ClassChangeRow.number)
            )
        )
        media = list(session.scalars(select(MediumRow).where(MediumRow.project_id == project_id)))
    if not changes:
        return
    for medium in media:
        with suppress(NotFoundError), studio.workspace(medium) as workspace:  # deleted in the meantime
            changed = [workspace.rename_class(change.old_name, change.new_name) for change in changes]
            if any(changed):
                studio.note_change(medium, workspace)
    with studio.database.session() as session:
        for change in changes:
            stored = session.get(ClassChangeRow, change.number)
            if stored is not None:
                session.delete(stored)


def _rows(session: Session, project_id: str) -> list[ClassRow]:
    return list(session.scalars(select(ClassRow).where(ClassRow.project_id == project_id).order_by(ClassRow.position)))


def _class(rows: Iterable[ClassRow], class_id: str) -> ClassRow:
    for row in rows:
        if row.id == class_id:
            return row
    raise NotFoundError("there is no such class in this project")


def _check_new_name(rows: Sequence[ClassRow], name: str) -> None:
    for row in rows:
        if row.name.casefold() == name.casefold():
            raise ConflictError(f"there is a class {row.name!r} already: choose another name, or merge the two")


def _added(session: Session, project_id: str, rows: Sequence[ClassRow], name: str, color: str | None) -> ClassRow:
    if len(rows) >= MAX_CLASSES:
        raise ConflictError(f"a project may have {MAX_CLASSES} classes at most: delete or merge some")
    keys = {row.key for row in rows}
    added = ClassRow(
        project_id=project_id,
        position=len(rows),
        name=name,
        color=color or least_used_color(row.color for row in rows),
        key=next((digit for digit in HOT_KEYS if digit.isdigit() and digit not in keys), None),
    )
    session.add(added)
    session.flush()
    return added


def _give_key(rows: Iterable[ClassRow], owner: ClassRow, key: str) -> None:
    for row in rows:
        if row is not owner and row.key == key:
            row.key = None
    owner.key = key or None


def _record(session: Session, changed: ClassRow, new_name: str) -> None:
    session.add(ClassChangeRow(project_id=changed.project_id, old_name=changed.name, new_name=new_name))


def _remove(session: Session, rows: list[ClassRow], removed: ClassRow, new_name: str) -> None:
    _record(session, removed, new_name)
    session.delete(removed)
    rows.remove(removed)
    _number(rows)


def _number(rows: Iterable[ClassRow]) -> None:
    for position, row in enumerate(rows):
        row.position = position
