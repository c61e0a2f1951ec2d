"""Upgrades of databases that an earlier version of the server wrote, for SQLite and PostgreSQL.

Missing tables are created before. Each upgrade looks at the tables, so that it is done once, and is one transaction.
"""

from __future__ import annotations

import json
import secrets

from sqlalchemy import Connection, Engine, inspect, text

from masklet.server.colors import default_color


def upgrade(engine: Engine) -> None:
    """Bring the tables of an earlier version up to date."""
    columns = {column["name"] for column in inspect(engine).get_columns("projects")}
    with engine.begin() as connection:
        if "classes" in columns:
            _move_class_names(connection)


def _move_class_names(connection: Connection) -> None:
    """Move the class names, which were a JSON list of each project, to the table of classes."""
    for project_id, stored in connection.execute(text("SELECT id, classes FROM projects")).all():
        names = json.loads(stored) if isinstance(stored, str) else stored or []
        for position, name in enumerate(dict.fromkeys(names)):
            connection.execute(
                text(
                    "INSERT INTO classes (id, project_id, position, name, color, key) "
                    "VALUES (:id, :project_id, :position, :name, :color, :key)"
                ),
                {
                    "id": secrets.token_urlsafe(9),
                    "project_id": project_id,
                    "position": position,
                    "name": name,
                    "color": default_color(position),
                    "key": str(position + 1) if position < 9 else None,
                },
            )
    connection.execute(text("ALTER TABLE projects DROP COLUMN classes"))
