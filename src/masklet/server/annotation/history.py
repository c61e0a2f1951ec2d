"""Undo and redo for the tables of an annotation file, and the answers of idempotent requests.

Triggers save, for each row that an operation changes, the row as it was before the operation. Undoing swaps the saved
rows with the current ones, and redoing swaps them back. So every change is covered, whoever makes it, trackers
included. Knows nothing of objects and prompts: a subclass lists the tables that are covered.

An operation is one transaction. The answer of an idempotent request is written in the same transaction, so that a
process that is killed at any moment has either stored the operation and its answer, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from masklet._version import __version__
from masklet.errors import DataError
from masklet.tracking.mask_store import MaskStore, add_columns

FORMAT = 1
"""Format of the file; increased when earlier versions could no longer use the file."""

MAX_STEPS = 200
"""Operations that can be undone."""

MAX_ANSWERS = 100
"""Answers of idempotent requests that are kept."""

MAX_LARGE_ANSWERS = 20
"""The same limit for answers of more than `LARGE_ANSWER` characters, which contain masks."""

LARGE_ANSWER = 4096


class UndoableTable(NamedTuple):
    """A table whose changes can be undone."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    """Columns of the primary key."""


class Step(NamedTuple):
    """One operation in the history."""

    step: int
    title: str
    frame_index: int | None
    object_id: int | None


class SavedRow(NamedTuple):
    """A row as it was before an operation."""

    step: int
    existed: bool
    """False: the operation created the row."""
    values: tuple[Any, ...]
    """Values in the order of the table's columns; only the keys are meaningful if the row did not exist."""


class UndoStore(MaskStore):
    """A mask store whose operations can be undone.

    One thread at a time may write, while any thread may read.

    Raises:
        OutputError: the file cannot be opened or written.
        DataError: a later version of masklet wrote the file in a newer format.
    """

    tables: ClassVar[Sequence[UndoableTable]]
    """The tables that operations change."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        with self.transaction(), self._guarded():
            self._check_format()
            for command in self._create_commands():
                self._database.execute(command)
            self._upgrade()
            self._database.execute("INSERT OR IGNORE INTO state VALUES (0, NULL, 0)")
            # Versions without transactions may have left the step of an operation that was interrupted.
            self._database.execute("UPDATE state SET step = NULL")

    def _check_format(self) -> None:
        """Refuse a file of a later format, which this version might damage. Files before 0.2 have no format number."""
        self._database.execute("CREATE TABLE IF NOT EXISTS written_by (id INTEGER PRIMARY KEY, format, masklet)")
        written_by = self._database.execute("SELECT format, masklet FROM written_by").fetchone()
        if written_by is not None and written_by[0] > FORMAT:
            raise DataError(
                f"{self.path} was written by masklet {written_by[1]} in format {written_by[0]}, and this masklet "
                f"({__version__}) reads formats up to {FORMAT}: use masklet {written_by[1]}"
            )
        self._database.execute("INSERT OR REPLACE INTO written_by VALUES (0, ?, ?)", (FORMAT, __version__))

    def _create_commands(self) -> list[str]:
        """Return the commands that create the tables of a new file. Subclasses add their own tables before these."""
        return [
            "CREATE TABLE IF NOT EXISTS steps "
            "(step INTEGER PRIMARY KEY AUTOINCREMENT, title, frame_index, object_id, undone)",
            "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, step, revision)",
            "CREATE TABLE IF NOT EXISTS idempotency_keys "
            "(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, answer TEXT)",
            *(
                f"CREATE TABLE IF NOT EXISTS {name}_before (step, existed, {', '.join(columns)}, "
                f"PRIMARY KEY (step, {', '.join(keys)})) WITHOUT ROWID"
                for name, columns, keys in self.tables
            ),
        ]

    def _upgrade(self) -> None:
        """Add the tables and columns that a file of an earlier version lacks, and remove obsolete ones."""
        for table in self.tables:
            add_columns(self._database, table.name, table.columns)
            add_columns(self._database, f"{table.name}_before", table.columns)
        existing = dict(self._database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        for name, command in _triggers(self.tables).items():
            if existing.get(name) != command:  # an earlier version saved fewer columns
                self._database.execute(f"DROP TRIGGER IF EXISTS {name}")
                self._database.execute(command)
        if self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
            self._database.execute(
                "INSERT OR IGNORE INTO idempotency_keys (key, answer) SELECT key, answer FROM answers"
            )
        for obsolete in ("answers", "turns"):
            self._database.execute(f"DROP TABLE IF EXISTS {obsolete}")

    @property
    def revision(self) -> int:
        """Number that increases with every operation."""
        ((revision,),) = self._rows("SELECT revision FROM state")
        return int(revision)

    # Idempotent requests.

    def answer(self, key: str) -> str | None:
        """Return the stored answer to the request with this key; None for a new or a forgotten key."""
        rows = self._rows("SELECT answer FROM idempotency_keys WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def remember(self, key: str, answer: str) -> None:
        """Store the answer to a request, in the `transaction` of the request's operation."""
        self._execute("INSERT INTO idempotency_keys (key, answer) VALUES (?, ?)", key, answer)
        self._execute(
            "DELETE FROM idempotency_keys WHERE number <= (SELECT max(number) FROM idempotency_keys) - "
            "CASE WHEN length(answer) > ? THEN ? ELSE ? END",
            LARGE_ANSWER,
            MAX_LARGE_ANSWERS,
            MAX_ANSWERS,
        )

    # Operations.

    @contextmanager
    def operation(self, title: str, *, frame_index: int | None = None, object_id: int | None = None) -> Iterator[int]:
        """Record all changes in the block as one operation: all of them, or, if the block fails, none.

        Operations undone before can no longer be redone.

        Yields:
            The operation's step, for `continued`.
        """
        with self.transaction():
            step = self._begin(title, frame_index, object_id)
            yield step
            self._end()

    @contextmanager
    def continued(self, step: int) -> Iterator[int]:
        """Record the changes in the block as a part of an earlier operation.

        If there was another operation in between, they become a new operation with the same title, because undoing
        only a part would mix up the order.

        Yields:
            The step that they belong to.
        """
        with self.transaction():
            ((last,),) = self._rows("SELECT max(step) FROM steps WHERE NOT undone")
            if last == step:
                self._execute("UPDATE state SET step = ?", step)
            else:
                about = self._rows("SELECT title, frame_index, object_id FROM steps WHERE step = ?", step)
                step = self._begin(*about[0])
            yield step
            self._end()

    def _begin(self, title: str, frame_index: int | None, object_id: int | None) -> int:
        self._forget_steps("undone")
        step = self._insert("INSERT INTO steps VALUES (NULL, ?, ?, ?, 0)", title, frame_index, object_id)
        self._forget_steps("step <= ?", step - MAX_STEPS)
        self._execute("UPDATE state SET step = ?", step)  # from here on the triggers save rows
        return step

    def _end(self) -> None:
        self._execute("UPDATE state SET step = NULL, revision = revision + 1")

    # Undo and redo.

    def undo(self) -> Step | None:
        """Undo the last operation and return it; None if there is none."""
        return self._undo_or_redo("WHERE NOT undone ORDER BY step DESC", undone=True)

    def redo(self) -> Step | None:
        """Redo the operation that was undone last and return it; None if there is none."""
        return self._undo_or_redo("WHERE undone ORDER BY step", undone=False)

    def history(self) -> tuple[str | None, str | None]:
        """Return the titles of the operations that `undo` and `redo` would change."""
        titles = [
            self._rows(f"SELECT title FROM steps {condition} LIMIT 1")
            for condition in ("WHERE NOT undone ORDER BY step DESC", "WHERE undone ORDER BY step")
        ]
        undo, redo = (rows[0][0] if rows else None for rows in titles)
        return undo, redo

    def _undo_or_redo(self, condition: str, *, undone: bool) -> Step | None:
        with self.transaction():
            rows = self._rows(f"SELECT step, title, frame_index, object_id FROM steps {condition} LIMIT 1")
            if not rows:
                return None
            step = Step(*rows[0])
            for table in self.tables:
                self._swap(table, step.step)
            self._execute("UPDATE steps SET undone = ? WHERE step = ?", undone, step.step)
            self._execute("UPDATE state SET revision = revision + 1")
            return step

    def _swap(self, table: UndoableTable, step: int) -> None:
        """Exchange the rows that an operation changed with those saved before it; `state.step` is NULL, so that the
        triggers save nothing."""
        name, columns, keys = table
        all_columns, key_columns = ", ".join(columns), ", ".join(keys)
        saved = f"(SELECT * FROM {name}_before WHERE step = {int(step)})"
        same_key = " AND ".join(f"{name}.{key} = saved.{key}" for key in keys)
        # 1. Copy the current rows under the keys of the saved ones. A row that does not exist now gets NULLs, but keeps
        #    its key and `existed` = 0, so that the next swap deletes what this one brings back.
        current = ", ".join(f"saved.{column}" if column in keys else f"{name}.{column}" for column in columns)
        self._execute(
            f"CREATE TEMP TABLE swapped AS SELECT {int(step)}, {name}.object_id IS NOT NULL, {current} "
            f"FROM {saved} AS saved LEFT JOIN {name} ON {same_key}"
        )
        # 2. Put the saved rows in their place; rows that the operation created are only deleted.
        self._execute(f"DELETE FROM {name} WHERE ({key_columns}) IN (SELECT {key_columns} FROM {saved})")
        self._execute(f"INSERT INTO {name} ({all_columns}) SELECT {all_columns} FROM {saved} AS saved WHERE existed")
        # 3. Save the copies, for the opposite direction.
        self._execute(f"DELETE FROM {name}_before WHERE step = {int(step)}")
        self._execute(f"INSERT INTO {name}_before (step, existed, {all_columns}) SELECT * FROM temp.swapped")
        self._execute("DROP TABLE temp.swapped")

    def saved_rows(self, table: UndoableTable, where: str, *values: Any) -> list[SavedRow]:
        """Return the rows saved by operations that have not been undone."""
        rows = self._rows(
            f"SELECT step, existed, {', '.join(table.columns)} FROM {table.name}_before "
            f"WHERE step IN (SELECT step FROM steps WHERE NOT undone) AND {where}",
            *values,
        )
        return [SavedRow(step, bool(existed), tuple(row)) for step, existed, *row in rows]

    def _forget_steps(self, where: str, *values: Any) -> None:
        for (step,) in self._rows(f"SELECT step FROM steps WHERE {where}", *values):
            for table in self.tables:
                self._execute(f"DELETE FROM {table.name}_before WHERE step = ?", step)
            self._execute("DELETE FROM steps WHERE step = ?", step)

    def _insert(self, command: str, *values: Any) -> int:
        """Execute a command that inserts a row, and return the row's id."""
        with self._guarded():
            return int(self._database.execute(command, values).lastrowid or 0)


def _triggers(tables: Sequence[UndoableTable]) -> dict[str, str]:
    """Return, by name, the triggers that save a row before the current operation first changes it.

    While `state.step` is NULL, which is between operations and during undo and redo, they save nothing. A row is saved
    once per operation: `NOT EXISTS` keeps the first copy, which is the row as it was before the operation.
    """
    commands = {}
    for name, columns, keys in tables:
        for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
            same_key = " AND ".join(f"{name}.{key} = {row}.{key}" for key in keys)
            same_saved = " AND ".join(f"saved.{key} = {row}.{key}" for key in keys)
            values = ", ".join(f"{row}.{column}" if column in keys else f"{name}.{column}" for column in columns)
            trigger = f"{name}_{event.lower()}"
            # Not "INSERT OR IGNORE": SQLite overrides a trigger's conflict clause by that of the statement that fired
            # it. The join reads the row itself, as an insert has no OLD; "OR REPLACE" inserts may replace a row.
            commands[trigger] = (
                f"CREATE TRIGGER {trigger} BEFORE {event} ON {name} "
                f"WHEN (SELECT step FROM state) IS NOT NULL BEGIN "
                f"INSERT INTO {name}_before (step, existed, {', '.join(columns)}) "
                f"SELECT state.step, {name}.object_id IS NOT NULL, {values} "
                f"FROM state LEFT JOIN {name} ON {same_key} WHERE NOT EXISTS "
                f"(SELECT 1 FROM {name}_before AS saved WHERE saved.step = state.step AND {same_saved}); END"
            )
    return commands
