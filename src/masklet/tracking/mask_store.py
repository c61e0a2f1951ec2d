"""The masks that have been tracked, by frame and object: on disk, so that they take no memory however long the video.

Masks are run-length encoded. Beside each lie its scores and what is needed to decide what a correction can change:
from which side the frame was tracked, whether it was prompted or accepted, whether a later prompt has outdated it.
SQLite keeps and finds them; a store without a path is a temporary file that vanishes with the process.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from masklet.errors import OutputError
from masklet.records import ObjectStatus
from masklet.tracking.mask_rows import COLUMNS, MaskRow, from_values, to_values

CACHE_KIB = 512
"""What SQLite may hold in memory: little, for it fills up, and a long video is to need no more than a short one."""


class Scores(NamedTuple):
    """A stored mask without its pixels."""

    frame_index: int
    object_id: int
    reliability: float
    status: ObjectStatus
    prompted: bool
    accepted: bool


class Stretch(NamedTuple):
    """Frames of one object that are to be tracked again."""

    object_id: int
    first: int
    last: int
    direction: int


_COLUMNS = ", ".join(COLUMNS)


class MaskStore:
    """Masks by frame and object.

    Args:
        path: a file to keep them in; when left out, a temporary one.

    Raises:
        OutputError: the file cannot be opened. Every method may raise it, as when the disk is full; what was written
            before stays.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.RLock()
        with self._guarded():
            # With no name SQLite makes a file of its own, and removes it.
            self._database = sqlite3.connect(
                "" if path is None else path, isolation_level=None, check_same_thread=False
            )
            # Python 3.13 warns of connections that the garbage collector closes: most trackers are never closed.
            weakref.finalize(self, self._database.close)
            self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if path is None:
                self._database.execute("PRAGMA synchronous = OFF")
            else:  # what is written survives the end of the process, whatever ends it, without a wait for the disk
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS masks ({_COLUMNS}, PRIMARY KEY (object_id, frame_index)) WITHOUT ROWID"
            )
            add_columns(self._database, "masks", COLUMNS)
            self._database.execute("CREATE INDEX IF NOT EXISTS by_frame ON masks (frame_index)")
            self._database.execute("CREATE INDEX IF NOT EXISTS by_stale ON masks (stale) WHERE stale")

    def write(self, masks: Iterable[MaskRow]) -> None:
        """Keep masks, replacing those of the same frame and object: all of them or none."""
        rows = [to_values(mask) for mask in masks]
        if not rows:
            return
        places = ", ".join("?" * len(COLUMNS))
        with self._guarded():
            self._database.execute("BEGIN")
            try:
                self._database.executemany(f"INSERT OR REPLACE INTO masks ({_COLUMNS}) VALUES ({places})", rows)
            except BaseException:
                if self._database.in_transaction:  # a full disk has rolled back already
                    self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def frame(self, frame_index: int) -> list[MaskRow]:
        """All that is known of a frame, by object id."""
        return self._masks("WHERE frame_index = ? ORDER BY object_id", frame_index)

    def mask(self, object_id: int, frame_index: int) -> MaskRow | None:
        """What is known of one object on one frame."""
        found = self._masks("WHERE object_id = ? AND frame_index = ?", object_id, frame_index)
        return found[0] if found else None

    def all(self) -> Iterator[MaskRow]:
        """Everything, frame by frame; only a few masks are in memory at a time."""
        first, last = self.frames() or (0, -1)
        for frame_index in range(first, last + 1):
            yield from self.frame(frame_index)

    def scores(self) -> list[Scores]:
        """Everything but the pixels, by object and frame."""
        rows = self._rows(
            "SELECT frame_index, object_id, reliability, status, prompted, accepted FROM masks "
            "WHERE NOT stale ORDER BY object_id, frame_index"
        )
        return [
            Scores(index, object_id, sure, status, bool(prompted), bool(accepted))
            for index, object_id, sure, status, prompted, accepted in rows
        ]

    def frames(self) -> tuple[int, int] | None:
        """The first and the last frame of which something is known."""
        ((first, last),) = self._rows("SELECT min(frame_index), max(frame_index) FROM masks")
        return None if first is None else (first, last)

    def behind(self, object_id: int, frame_index: int, direction: int, limit: int) -> dict[int, float]:
        """Reliabilities of the frames behind one, the nearest first, as far as they lead up to it.

        Up to the first gap, outdated frame, or frame that was tracked from the other side and that nobody vouches for.
        """
        order, compare = ("DESC", "<") if direction > 0 else ("ASC", ">")
        rows = self._rows(
            f"SELECT frame_index, reliability, NOT stale AND (direction = ? OR prompted OR accepted) FROM masks "
            f"WHERE object_id = ? AND frame_index {compare} ? "
            f"ORDER BY frame_index {order} LIMIT ?",
            direction,
            object_id,
            frame_index,
            limit,
        )
        found: dict[int, float] = {}
        for ago, (index, reliability, leads_here) in enumerate(rows, start=1):
            if not leads_here or index != frame_index - ago * direction:
                break
            found[index] = reliability
        return found

    def outdate(self, object_id: int, frame_index: int, prompted: Iterable[int] = ()) -> list[Stretch]:
        """Mark what a change of the prompts on one frame can change: it, and the frames tracked from its side.

        Outwards from the frame, up to the next one that is prompted or accepted.

        Args:
            object_id: whose prompts changed.
            frame_index: on which frame.
            prompted: frames that have been prompted but not tracked since.

        Returns:
            The stretches, at most one to either side.
        """
        self._execute(
            "UPDATE masks SET stale = 1, prompted = 0 WHERE object_id = ? AND frame_index = ? AND NOT accepted",
            object_id,
            frame_index,
        )
        stretches = []
        for direction in (1, -1):
            compare, nearest, farthest = (">", "min", "max") if direction > 0 else ("<", "max", "min")
            beyond = f"object_id = ? AND frame_index {compare} ?"
            ((barrier,),) = self._rows(
                f"SELECT {nearest}(frame_index) FROM masks WHERE {beyond} AND (prompted OR accepted)",
                object_id,
                frame_index,
            )
            barriers = [barrier] if barrier is not None else [frame_index + direction * 2**40]
            barriers += [index for index in prompted if (index - frame_index) * direction > 0]
            stop = min(barriers, key=lambda index: abs(index - frame_index))
            reach = f"{beyond} AND (frame_index - ?) * ? < 0 AND direction = ?"
            values = (object_id, frame_index, stop, direction, direction)
            ((last,),) = self._rows(f"SELECT {farthest}(frame_index) FROM masks WHERE {reach}", *values)
            if last is not None:
                self._execute(f"UPDATE masks SET stale = 1 WHERE {reach}", *values)
                stretches.append(Stretch(object_id, min(frame_index, last), max(frame_index, last), direction))
        return stretches

    def stale(self) -> list[Stretch]:
        """The frames that are outdated, in stretches without gaps."""
        stretches: list[Stretch] = []
        for object_id, index, direction in self._rows(
            "SELECT object_id, frame_index, direction FROM masks WHERE stale ORDER BY object_id, direction, frame_index"
        ):
            if stretches:
                before = stretches[-1]
                if (before.object_id, before.last, before.direction) == (object_id, index - 1, direction):
                    stretches[-1] = before._replace(last=index)
                    continue
            stretches.append(Stretch(object_id, index, index, direction))
        return stretches

    def accept(self, frame_index: int, object_id: int | None, accepted: bool = True) -> int:
        """Mark a frame as accepted, for one object or for all that are known there. Outdated masks stay as they are.

        Returns:
            Of how many objects.
        """
        whose, values = ("", ()) if object_id is None else ("AND object_id = ?", (object_id,))
        return self._execute(
            f"UPDATE masks SET accepted = ? WHERE frame_index = ? AND NOT stale {whose}", accepted, frame_index, *values
        )

    def accepted_frames(self, object_id: int) -> tuple[int, ...]:
        """Ascending."""
        rows = self._rows(
            "SELECT frame_index FROM masks WHERE object_id = ? AND accepted ORDER BY frame_index", object_id
        )
        return tuple(index for (index,) in rows)

    def drop_stale(self, object_id: int, frame_index: int) -> None:
        """Drop an outdated mask that nothing replaces: the object is not known there any more."""
        self._execute("DELETE FROM masks WHERE object_id = ? AND frame_index = ? AND stale", object_id, frame_index)

    def forget(self, object_id: int | None = None) -> None:
        """Forget an object, or everything."""
        if object_id is None:
            self._execute("DELETE FROM masks")
        else:
            self._execute("DELETE FROM masks WHERE object_id = ?", object_id)

    def close(self) -> None:
        """Let go of the file; a temporary one is removed."""
        self._database.close()

    def _masks(self, where: str, *values: Any) -> list[MaskRow]:
        return [from_values(row) for row in self._rows(f"SELECT {_COLUMNS} FROM masks {where}", *values)]

    def _rows(self, command: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._guarded():
            return self._database.execute(command, values).fetchall()

    def _execute(self, command: str, *values: Any) -> int:
        with self._guarded():
            return self._database.execute(command, values).rowcount

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One thread at a time, and SQLite's errors as ours."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                where = "in a temporary file" if self.path is None else f"in {self.path}"
                raise OutputError(f"cannot keep masks {where}: {error}") from error


def add_columns(database: sqlite3.Connection, table: str, columns: Iterable[str]) -> None:
    """Add the columns that a table lacks because an earlier version of masklet wrote it; they hold NULL."""
    present = {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}
    for column in columns:
        if column not in present:
            database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
