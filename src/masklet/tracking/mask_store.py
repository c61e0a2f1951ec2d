"""Tracked masks by frame and object, on disk, so that a long video needs no more memory than a short one.

Masks are run-length encoded. Next to each mask are its scores and what decides which masks a correction can change:
the direction of tracking, whether the frame was prompted or accepted, and whether a later prompt has outdated it.
SQLite keeps them; a store without a path is a temporary file that is removed with the process.
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
"""SQLite's page cache. It is small because it always fills up, and memory must not grow with the video."""


class Scores(NamedTuple):
    """A stored mask without its pixels."""

    frame_index: int
    object_id: int
    reliability: float
    status: ObjectStatus
    prompted: bool
    accepted: bool


class StaleRange(NamedTuple):
    """Consecutive outdated frames of one object, to be tracked again."""

    object_id: int
    first: int
    last: int
    """Included."""
    direction: int
    """Direction of tracking, 1 forward or -1 backward."""


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
            # Without a name SQLite makes a temporary file, and removes it.
            self._database = sqlite3.connect(
                "" if path is None else path, isolation_level=None, check_same_thread=False
            )
            # Python 3.13 warns of connections that the garbage collector closes: most trackers are never closed.
            weakref.finalize(self, self._database.close)
            self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if path is None:
                self._database.execute("PRAGMA synchronous = OFF")
            else:  # what is written survives a killed process, without a wait for the disk
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS masks ({_COLUMNS}, PRIMARY KEY (object_id, frame_index)) WITHOUT ROWID"
            )
            add_columns(self._database, "masks", COLUMNS)
            self._database.execute("CREATE INDEX IF NOT EXISTS by_frame ON masks (frame_index)")
            self._database.execute("CREATE INDEX IF NOT EXISTS by_stale ON masks (stale) WHERE stale")

    def __deepcopy__(self, memo: dict[int, Any]) -> MaskStore:
        """Return a temporary store with the same masks."""
        copied = MaskStore()
        with self._lock, self._guarded():
            self._database.backup(copied._database)
        return copied

    def write(self, masks: Iterable[MaskRow]) -> None:
        """Store masks in place of those of the same frame and object: all of them or none."""
        rows = [to_values(mask) for mask in masks]
        if not rows:
            return
        places = ", ".join("?" * len(COLUMNS))
        with self._lock, self.transaction(), self._guarded():
            self._database.executemany(f"INSERT OR REPLACE INTO masks ({_COLUMNS}) VALUES ({places})", rows)

    def frame(self, frame_index: int) -> list[MaskRow]:
        """Return all masks of a frame, by object id."""
        return self._masks("WHERE frame_index = ? ORDER BY object_id", frame_index)

    def mask(self, object_id: int, frame_index: int) -> MaskRow | None:
        """Return the mask of one object on one frame; None if there is none."""
        rows = self._masks("WHERE object_id = ? AND frame_index = ?", object_id, frame_index)
        return rows[0] if rows else None

    def all(self) -> Iterator[MaskRow]:
        """Iterate over all masks, frame by frame; only one frame is in memory at a time."""
        first, last = self.frames() or (0, -1)
        for frame_index in range(first, last + 1):
            yield from self.frame(frame_index)

    def scores(self) -> list[Scores]:
        """Return everything but the pixels of masks that are up to date, by object and frame."""
        rows = self._rows(
            "SELECT frame_index, object_id, reliability, status, prompted, accepted FROM masks "
            "WHERE NOT stale ORDER BY object_id, frame_index"
        )
        return [
            Scores(index, object_id, reliability, status, bool(prompted), bool(accepted))
            for index, object_id, reliability, status, prompted, accepted in rows
        ]

    def frames(self) -> tuple[int, int] | None:
        """Return the first and the last frame with a stored mask; None if there is none."""
        ((first, last),) = self._rows("SELECT min(frame_index), max(frame_index) FROM masks")
        return None if first is None else (first, last)

    def behind(self, object_id: int, frame_index: int, direction: int, limit: int) -> dict[int, float]:
        """Return the reliabilities of the frames that lead up to one, nearest first, by frame index.

        They end at the first gap, at an outdated frame, or at a frame that was tracked in the other direction and
        neither prompted nor accepted.

        Args:
            object_id: the object.
            frame_index: the frame to come.
            direction: 1 forward, -1 backward.
            limit: the largest number of frames.
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
        reliabilities: dict[int, float] = {}
        for ago, (index, reliability, leads_here) in enumerate(rows, start=1):
            if not leads_here or index != frame_index - ago * direction:
                break
            reliabilities[index] = reliability
        return reliabilities

    def outdate(self, object_id: int, frame_index: int, prompted: Iterable[int] = ()) -> list[StaleRange]:
        """Mark the masks that depend on the prompts of one frame as stale: its own, and those tracked outwards from it.

        Args:
            object_id: the object whose prompts changed.
            frame_index: the frame on which they changed.
            prompted: frames that have been prompted but not tracked since.

        Returns:
            The stale ranges, at most one on either side.
        """
        self._execute(
            "UPDATE masks SET stale = 1, prompted = 0 WHERE object_id = ? AND frame_index = ? AND NOT accepted",
            object_id,
            frame_index,
        )
        ranges = []
        for direction in (1, -1):
            # Beyond the next prompted or accepted frame (the barrier) that frame decides, not this one. Prompts that
            # have not been tracked yet are barriers, too, though no row says so. Up to there, only frames that were
            # tracked in this direction have seen the old prompts; the others keep their masks.
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
                ranges.append(StaleRange(object_id, min(frame_index, last), max(frame_index, last), direction))
        return ranges

    def stale_ranges(self) -> list[StaleRange]:
        """Return the outdated frames, in ranges without gaps."""
        ranges: list[StaleRange] = []
        for object_id, index, direction in self._rows(
            "SELECT object_id, frame_index, direction FROM masks WHERE stale ORDER BY object_id, direction, frame_index"
        ):
            if ranges:
                previous = ranges[-1]
                if (previous.object_id, previous.last, previous.direction) == (object_id, index - 1, direction):
                    ranges[-1] = previous._replace(last=index)
                    continue
            ranges.append(StaleRange(object_id, index, index, direction))
        return ranges

    def accept(self, frame_index: int, object_id: int | None, accepted: bool = True) -> int:
        """Mark a frame as accepted, for one object or for all. Outdated masks stay as they are.

        Returns:
            The number of masks that were marked.
        """
        condition, values = ("", ()) if object_id is None else ("AND object_id = ?", (object_id,))
        return self._execute(
            f"UPDATE masks SET accepted = ? WHERE frame_index = ? AND NOT stale {condition}",
            accepted,
            frame_index,
            *values,
        )

    def drop_stale(self, object_id: int, frame_index: int) -> None:
        """Drop an outdated mask that nothing replaces: the object is no longer known there."""
        self._execute("DELETE FROM masks WHERE object_id = ? AND frame_index = ? AND stale", object_id, frame_index)

    def forget(self, object_id: int | None = None) -> None:
        """Drop all masks of an object, or all masks."""
        if object_id is None:
            self._execute("DELETE FROM masks")
        else:
            self._execute("DELETE FROM masks WHERE object_id = ?", object_id)

    def close(self) -> None:
        """Close the file; a temporary one is removed."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything that is written in the block or, if the block fails, nothing. Blocks may be nested.

        Other threads may read meanwhile; they must not write.
        """
        is_nested = self._database.in_transaction
        if is_nested:
            yield
            return
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._guarded():
                self._database.execute("COMMIT")
        except BaseException:
            with self._guarded():
                if self._database.in_transaction:  # a full disk has rolled back already
                    self._database.execute("ROLLBACK")
            raise

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
        """Let one thread in at a time, and turn SQLite's errors into `OutputError`."""
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
