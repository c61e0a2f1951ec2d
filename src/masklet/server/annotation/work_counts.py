"""Counts of a medium's annotations: what lists of media show of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# An answer to a prompt is shown where no mask was tracked since, as in `AnnotationStore.marks`.
_COUNT_FRAMES = """
WITH answers AS (SELECT object_id, frame_index FROM prompts WHERE rle != 'null'),
shown AS (
  SELECT masks.frame_index, accepted, stale, review AND NOT accepted AND NOT prompted AS review
  FROM masks LEFT JOIN answers USING (object_id, frame_index) WHERE NOT stale OR answers.object_id IS NULL
  UNION ALL
  SELECT answers.frame_index, 0, 0, 0
  FROM answers LEFT JOIN masks USING (object_id, frame_index) WHERE masks.object_id IS NULL OR stale
),
frames AS (
  SELECT min(accepted) AS accepted, max(stale) AS stale, max(review) AS review FROM shown GROUP BY frame_index
)
SELECT count(*), total(accepted), total(stale), total(review) FROM frames
"""


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """Frames and objects of a medium, counted for lists: how far the work on it is."""

    num_marked: int
    """Frames with a mask."""
    num_accepted: int
    """Frames with masks, all of which are accepted."""
    num_stale: int
    """Frames with a mask that a later prompt can change."""
    num_to_review: int
    """Frames with a mask that a user should review."""
    classes: Mapping[str, int]
    """Number of objects by class name; "" is no class."""

    @classmethod
    def of(cls, query: Callable[[str], Sequence[Sequence[Any]]]) -> WorkCounts:
        """Count in the file of a medium; `query` returns the rows of an SQL query."""
        ((num_marked, num_accepted, num_stale, num_to_review),) = query(_COUNT_FRAMES)
        classes = query("SELECT coalesce(class_name, ''), count(*) FROM objects GROUP BY 1 ORDER BY 1")
        return cls(num_marked, int(num_accepted), int(num_stale), int(num_to_review), dict(map(tuple, classes)))

    @property
    def num_objects(self) -> int:
        return sum(self.classes.values())

    @classmethod
    def of_file(cls, path: Path) -> WorkCounts:
        """Count in a file without opening it for changes; a file that does not exist has no annotations.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        if not path.exists():
            return cls(0, 0, 0, 0, {})
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return cls.of(lambda command: connection.execute(command).fetchall())


def revision_of_file(path: Path) -> int:
    """Return the revision in a medium's file without opening it for changes; 0 for a file that does not exist.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT revision FROM state").fetchone()
    return int(row[0]) if row else 0
