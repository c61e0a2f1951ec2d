"""What users said of one medium and what came of it: objects, prompts and masks in one SQLite file, with a history.

The file is the truth, and a tracker is made from it whenever one is needed; so nothing has to be saved, and whatever
ends the process, all is there but the frame in work. Prompts are kept as the decoder was given them, with the logits
that they corrected, so that the same prompt gives the same mask again.

History: triggers note, for each row that an operation changes, how it was before the operation. Undoing swaps the
notes with the rows, and redoing swaps them back; so whoever changes rows, tracker included, is covered.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from masklet._version import __version__
from masklet.errors import DataError
from masklet.masks.operations import CocoRle
from masklet.prompts import SHORT_NAMES, Prompt, PromptDocument
from masklet.records import ABSENT_SCORE, FloatArray, ObjectStatus
from masklet.tracking.mask_rows import COLUMNS as MASK_COLUMNS
from masklet.tracking.mask_rows import MaskRow, from_values, given_row
from masklet.tracking.mask_store import MaskStore, add_columns

FORMAT = 1
"""Format of the file; it grows when versions before could not work on the file any more."""

MAX_STEPS = 200
"""Operations that can be undone."""

MAX_TURNS = 100
"""Undone and redone steps that are remembered, so that a wish which comes twice is done once."""

MAX_ANSWERS = 20
"""Answers to other wishes that are remembered, to the same end. Fewer, as they hold masks."""

_OBJECT_COLUMNS = "object_id, name, class_name, color, locked, hidden"
_PROMPT_COLUMNS = (
    *("object_id", "frame_index", "candidate", "initial", "time_s", "rle", "iou_prediction", "object_score", "answer"),
    "confidence",
    *SHORT_NAMES.values(),
)
"""Of a prompt and what came of it; those of the prompt itself are named after its fields."""


class _Table(NamedTuple):
    """A table whose changes can be undone."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]


_Place = tuple[int, int]
"""Frame and object."""

_TABLES = (
    _Table("masks", MASK_COLUMNS, ("object_id", "frame_index")),
    _Table("objects", tuple(_OBJECT_COLUMNS.split(", ")), ("object_id",)),
    _Table("prompts", _PROMPT_COLUMNS, ("object_id", "frame_index")),
)

_FORGET_STEP = (
    *(f"DELETE FROM {table.name}_before WHERE step = ?" for table in _TABLES),
    "DELETE FROM steps WHERE step = ?",
)


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """An object as the user sees it."""

    object_id: int
    name: str
    class_name: str = ""
    color: str = "#4f8cff"
    locked: bool = False
    """Neither prompts nor tracking change it."""
    hidden: bool = False


@dataclass(frozen=True)
class SavedPrompt:
    """The prompt of one object on one frame, and the mask that it gave."""

    object_id: int
    frame_index: int
    document: PromptDocument
    """The prompt as it is stored, see `of`. It is decoded when `prompt` is first read."""
    candidate: int | None = None
    """Selects one of the candidates of a single click, counted from the best."""
    initial: bool = True
    """The object had not been tracked on this frame."""
    time_s: float = 0.0
    rle: CocoRle | None = None
    """What came of it."""
    iou_prediction: float = 0.0
    object_score: float = 0.0
    confidence: float | None = None
    """Expected IoU of the mask, in [0, 1]; None in a folder of an earlier version: then the IoU prediction counts."""
    answer_logits: FloatArray | None = None
    """(h, w) what came of it, for the next point to correct."""

    @classmethod
    def of(cls, object_id: int, frame_index: int, prompt: Prompt, **others: Any) -> SavedPrompt:
        """Return a prompt to be saved; logits are kept in half precision."""
        return cls(object_id, frame_index, prompt.to_dict(_packed), **others)

    @cached_property
    def prompt(self) -> Prompt:
        """The prompt as the tracker takes it. A drawn mask may be empty: the object is not on this frame."""
        return Prompt.from_dict(self.document, _unpacked)

    def with_prompt(self, prompt: Prompt, **changes: Any) -> SavedPrompt:
        """Return the same with another prompt."""
        return replace(self, document=prompt.to_dict(_packed), **changes)

    def stored(self) -> MaskRow | None:
        """What came of it, as a mask among others."""
        if self.rle is None:
            return None
        return given_row(
            self.frame_index,
            self.object_id,
            self.rle,
            time_s=self.time_s,
            iou_prediction=self.iou_prediction,
            object_score=self.object_score,
            confidence=self.confidence,
        )


class Step(NamedTuple):
    """One operation in the history."""

    step: int
    title: str
    frame_index: int | None
    object_id: int | None


class Mark(NamedTuple):
    """A mask without its pixels, for the timeline."""

    frame_index: int
    object_id: int
    status: ObjectStatus
    confidence: float
    """In [0, 1]."""
    prompted: bool
    accepted: bool
    review: bool
    stale: bool


class AnnotationStore(MaskStore):
    """The file of one medium.

    Raises:
        OutputError: it cannot be opened or written.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._check_format()
            except DataError:
                self._database.execute("ROLLBACK")
                raise
            self._prepare()
            self._database.execute("INSERT OR IGNORE INTO state VALUES (0, NULL, 0)")
            self._database.execute("UPDATE state SET step = NULL")  # what was in work when the process ended
            self._database.execute("COMMIT")

    def _check_format(self) -> None:
        """Refuse a file of a later format, which this version might damage. Files before 0.2 do not state theirs."""
        self._database.execute("CREATE TABLE IF NOT EXISTS written_by (id INTEGER PRIMARY KEY, format, masklet)")
        written_by = self._database.execute("SELECT format, masklet FROM written_by").fetchone()
        if written_by is not None and written_by[0] > FORMAT:
            raise DataError(
                f"{self.path} was written by masklet {written_by[1]} in format {written_by[0]}, and this masklet "
                f"({__version__}) reads formats up to {FORMAT}: use masklet {written_by[1]}"
            )
        self._database.execute("INSERT OR REPLACE INTO written_by VALUES (0, ?, ?)", (FORMAT, __version__))

    def _prepare(self) -> None:
        """Create what the file lacks: all of it when the file is new, else what later versions of masklet added."""
        for command in _CREATE_TABLES:
            self._database.execute(command)
        for table in _TABLES:
            add_columns(self._database, table.name, table.columns)
            add_columns(self._database, f"{table.name}_before", table.columns)
        existing = dict(self._database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        for name, command in _TRIGGERS.items():
            if existing.get(name) != command:  # it notes the columns of another version
                self._database.execute(f"DROP TRIGGER IF EXISTS {name}")
                self._database.execute(command)

    @property
    def revision(self) -> int:
        """Grows with every change."""
        ((revision,),) = self._rows("SELECT revision FROM state")
        return int(revision)

    def touch(self) -> int:
        """Say that something has changed."""
        self._execute("UPDATE state SET revision = revision + 1")
        return self.revision

    # Wishes that come twice, because the first answer was lost.

    def answer(self, key: str) -> str | None:
        """What a wish was answered with; None when it is new, or more than `MAX_ANSWERS` others came since."""
        rows = self._rows("SELECT answer FROM answers WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def remember(self, key: str, answer: str) -> None:
        """Keep what a wish has been answered with."""
        with self._lock:
            self._execute("INSERT INTO answers VALUES (NULL, ?, ?)", key, answer)
            self._execute("DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?", MAX_ANSWERS)

    # Objects.

    def objects(self) -> list[AnnotatedObject]:
        """By id."""
        rows = self._rows(f"SELECT {_OBJECT_COLUMNS} FROM objects ORDER BY object_id")
        return [
            AnnotatedObject(object_id, name, class_name, color, bool(locked), bool(hidden))
            for object_id, name, class_name, color, locked, hidden in rows
        ]

    def object(self, object_id: int) -> AnnotatedObject | None:
        return next((one for one in self.objects() if one.object_id == object_id), None)

    def new_object_id(self) -> int:
        """One that no object has, nor a deleted one that could come back."""
        ((largest,),) = self._rows(
            "SELECT max(object_id) FROM (SELECT object_id FROM objects UNION ALL SELECT object_id FROM objects_before)"
        )
        return 1 + (largest or 0)

    def write_object(self, one: AnnotatedObject) -> None:
        self._execute(
            f"INSERT OR REPLACE INTO objects ({_OBJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            one.object_id,
            one.name,
            one.class_name,
            one.color,
            one.locked,
            one.hidden,
        )

    def delete_object(self, object_id: int) -> None:
        """With its prompts and masks."""
        for table in _TABLES:
            self._execute(f"DELETE FROM {table.name} WHERE object_id = ?", object_id)

    # Prompts.

    def prompts(self, *, frame_index: int | None = None, object_id: int | None = None) -> list[SavedPrompt]:
        """All, or those on a frame or of an object; by object and frame."""
        where = "WHERE (? IS NULL OR frame_index = ?) AND (? IS NULL OR object_id = ?) ORDER BY object_id, frame_index"
        rows = self._rows(
            f"SELECT {', '.join(_PROMPT_COLUMNS)} FROM prompts {where}", frame_index, frame_index, object_id, object_id
        )
        return [_prompt_of(row) for row in rows]

    def prompt(self, object_id: int, frame_index: int) -> SavedPrompt | None:
        found = self.prompts(frame_index=frame_index, object_id=object_id)
        return found[0] if found else None

    def prompted_frames(self) -> dict[int, list[int]]:
        """By object id, ascending."""
        found: dict[int, list[int]] = {}
        rows = self._rows("SELECT object_id, frame_index FROM prompts ORDER BY object_id, frame_index")
        for object_id, index in rows:
            found.setdefault(object_id, []).append(index)
        return found

    def write_prompt(self, one: SavedPrompt) -> None:
        places = ", ".join("?" * len(_PROMPT_COLUMNS))
        self._execute(
            f"INSERT OR REPLACE INTO prompts ({', '.join(_PROMPT_COLUMNS)}) VALUES ({places})",
            one.object_id,
            one.frame_index,
            one.candidate,
            one.initial,
            one.time_s,
            json.dumps(one.rle),
            one.iou_prediction,
            one.object_score,
            None if one.answer_logits is None else _packed(one.answer_logits),
            one.confidence,
            *(_to_column(one.document.get(name)) for name in SHORT_NAMES),
        )

    def delete_prompt(self, object_id: int, frame_index: int) -> None:
        self._execute("DELETE FROM prompts WHERE object_id = ? AND frame_index = ?", object_id, frame_index)

    # What is shown: masks, and of prompts that no tracking has passed yet, what they gave.

    def shown(
        self, start: int, stop: int, step: int = 1, object_ids: Iterable[int] | None = None
    ) -> dict[int, list[MaskRow]]:
        """By frame, the masks by object id. An outdated one is shown until it has been tracked again."""
        among, values = _among(object_ids)
        where = f"frame_index >= ? AND frame_index < ? AND (frame_index - ?) % ? = 0 {among}"
        values = [start, stop, start, step, *values]
        masks, prompts = self._known(where, *values)
        return _by_frame(
            {place: _shown(masks.get(place), prompts.get(place)) for place in masks.keys() | prompts.keys()}
        )

    def _known(self, where: str, *values: Any) -> tuple[dict[_Place, MaskRow], dict[_Place, SavedPrompt]]:
        rows = self._rows(f"SELECT {', '.join(_PROMPT_COLUMNS)} FROM prompts WHERE {where}", *values)
        masks = {(one.frame_index, one.object_id): one for one in self._masks(f"WHERE {where}", *values)}
        return masks, {(one.frame_index, one.object_id): one for one in map(_prompt_of, rows)}

    def shown_before(self, start: int, stop: int) -> dict[int, list[MaskRow]]:
        """As `shown`, but each mask as it was before it last changed; those that came with that change are left out.

        The history says how, so what lies further back than that is not known, and shown as it is.
        """
        where = "frame_index >= ? AND frame_index < ?"
        masks, prompts = self._known(where, start, stop)
        shown = _all_shown(masks, prompts)
        before = dict(shown)
        changed: set[_Place] = set()
        notes: dict[int, dict[_Place, list[tuple[dict[_Place, Any], Any]]]] = {}
        for (name, columns, _), rows, read in ((_TABLES[0], masks, from_values), (_TABLES[2], prompts, _prompt_of)):
            for step, existed, *row in self._rows(
                f"SELECT step, existed, {', '.join(columns)} FROM {name}_before "
                f"WHERE step IN (SELECT step FROM steps WHERE NOT undone) AND {where}",
                start,
                stop,
            ):
                place = (row[columns.index("frame_index")], row[columns.index("object_id")])
                then = read(row) if existed else None
                notes.setdefault(step, {}).setdefault(place, []).append((rows, then))
        for step in sorted(notes, reverse=True):
            for place, noted in notes[step].items():
                for rows, then in noted:
                    rows[place] = then
                was = _shown(masks.get(place), prompts.get(place))
                if place not in changed and _pixels(was) != _pixels(shown.get(place)):
                    changed.add(place)
                    before[place] = was
        return _by_frame(before)

    def shown_frames(self) -> list[int]:
        """Of which something is known, ascending."""
        return [
            index
            for (index,) in self._rows(
                "SELECT frame_index FROM masks UNION SELECT frame_index FROM prompts ORDER BY frame_index"
            )
        ]

    def marks(self) -> list[Mark]:
        """Everything that is shown, without pixels, by object and frame."""
        found = {
            (object_id, index): Mark(
                index, object_id, status, confidence, bool(said), bool(ok), bool(look), bool(stale)
            )
            for index, object_id, status, confidence, said, ok, look, stale in self._rows(
                "SELECT frame_index, object_id, status, coalesce(confidence, iou_prediction), "
                "prompted, accepted, review, stale FROM masks"
            )
        }
        for index, object_id, confidence, score in self._rows(
            "SELECT frame_index, object_id, coalesce(confidence, iou_prediction), object_score FROM prompts "
            "WHERE rle != 'null'"
        ):
            known = found.get((object_id, index))
            if known is None or known.stale:
                status: ObjectStatus = "present" if score > 0 else "occluded"
                found[object_id, index] = Mark(index, object_id, status, confidence, True, False, False, False)
        return [found[place] for place in sorted(found)]

    def settle(self, frames: range, object_ids: Iterable[int] | None = None) -> None:
        """Make masks of what prompts gave on frames that have not been tracked, so that they can be accepted."""
        for row in self.shown(frames.start, frames.stop, object_ids=object_ids).values():
            known = {mask.object_id for mask in self.frame(row[0].frame_index) if not mask.stale}
            self.write([replace(mask, stale=False) for mask in row if mask.prompted and mask.object_id not in known])

    def accept_all(self, start: int, stop: int, object_ids: Iterable[int] | None = None, accepted: bool = True) -> int:
        """Mark what is up to date on frames as checked, or take it back.

        Returns:
            Of how many masks.
        """
        among, values = _among(object_ids)
        # That an object is not there is a mask that was checked when it was said.
        return self._execute(
            f"UPDATE masks SET accepted = ? WHERE frame_index >= ? AND frame_index < ? AND NOT stale "
            f"AND accepted != ? AND object_score > {ABSENT_SCORE} {among}",
            accepted,
            start,
            stop,
            accepted,
            *values,
        )

    def drop_masks(self, object_id: int, *, frame_index: int | None = None) -> None:
        """Drop an object's masks that nobody has accepted; or on one frame, accepted or not."""
        if frame_index is None:
            self._execute("DELETE FROM masks WHERE object_id = ? AND NOT accepted", object_id)
        else:
            self._execute("DELETE FROM masks WHERE object_id = ? AND frame_index = ?", object_id, frame_index)

    def current_frames(self) -> dict[int, set[int]]:
        """By object id, the frames with a mask that is up to date."""
        found: dict[int, set[int]] = {}
        for object_id, index in self._rows("SELECT object_id, frame_index FROM masks WHERE NOT stale"):
            found.setdefault(object_id, set()).add(index)
        return found

    def tracked_ids(self) -> set[int]:
        """Objects that have been tracked beyond their prompts."""
        return {object_id for (object_id,) in self._rows("SELECT DISTINCT object_id FROM masks WHERE NOT prompted")}

    # History.

    def begin(self, title: str, *, frame_index: int | None = None, object_id: int | None = None) -> int:
        """Note what changes from here on as one operation; those that were undone cannot be redone any more."""
        with self._lock:
            self._forget_steps("undone")
            step = self._insert("INSERT INTO steps VALUES (NULL, ?, ?, ?, 0)", title, frame_index, object_id)
            self._forget_steps("step <= ?", step - MAX_STEPS)
            self._execute("UPDATE state SET step = ?", step)
            return step

    def proceed(self, step: int) -> int:
        """Go on with an operation; as another one with the same title, if one came in between."""
        with self._lock:
            ((last,),) = self._rows("SELECT max(step) FROM steps WHERE NOT undone")
            if last == step:
                self._execute("UPDATE state SET step = ?", step)
                return step
            title, frame_index, object_id = self._rows(
                "SELECT title, frame_index, object_id FROM steps WHERE step = ?", step
            )[0]
            return self.begin(title, frame_index=frame_index, object_id=object_id)

    def end(self) -> None:
        """What changes from here on is no part of an operation."""
        self._execute("UPDATE state SET step = NULL, revision = revision + 1")

    def abandon(self, step: int) -> None:
        """An operation has failed: everything as it was before."""
        with self._lock:
            self._swap(step, *((command, (step,)) for command in _FORGET_STEP))

    def undo(self, key: str | None = None) -> Step | None:
        """Take back the last operation. None: there is none.

        Args:
            key: names this wish. The same wish a second time, whose answer was lost, gets the same answer again and
                does nothing; so also after a restart, as long as no more than `MAX_TURNS` others came in between.
        """
        return self._turn_over("WHERE NOT undone ORDER BY step DESC", undone=True, key=key)

    def redo(self, key: str | None = None) -> Step | None:
        """Do again what was undone last. None: there is nothing. `key` as in `undo`."""
        return self._turn_over("WHERE undone ORDER BY step", undone=False, key=key)

    def history(self) -> tuple[str | None, str | None]:
        """What could be undone, and redone."""
        titles = [
            self._rows(f"SELECT title FROM steps {which} LIMIT 1")
            for which in ("WHERE NOT undone ORDER BY step DESC", "WHERE undone ORDER BY step")
        ]
        undo, redo = (rows[0][0] if rows else None for rows in titles)
        return undo, redo

    def _turn_over(self, which: str, *, undone: bool, key: str | None) -> Step | None:
        with self._lock:
            done = self._rows(
                "SELECT step, title, frame_index, object_id FROM turns WHERE key = ? AND undone = ?", key, undone
            )
            rows = done or self._rows(f"SELECT step, title, frame_index, object_id FROM steps {which} LIMIT 1")
            if not rows:
                return None
            step = Step(*rows[0])
            if not done:
                remembered = (
                    ("INSERT INTO turns VALUES (NULL, ?, ?, ?, ?, ?, ?)", (key, undone, *step)),
                    ("DELETE FROM turns WHERE turn <= (SELECT max(turn) FROM turns) - ?", (MAX_TURNS,)),
                )
                self._swap(
                    step.step,
                    ("UPDATE steps SET undone = ? WHERE step = ?", (undone, step.step)),
                    ("UPDATE state SET revision = revision + 1", ()),
                    *(remembered if key is not None else ()),
                )
            return step

    def _swap(self, step: int, *notes: tuple[str, tuple[Any, ...]]) -> None:
        """Rows that an operation changed, and what is noted of them, change places: all of them or none.

        Args:
            step: the operation.
            notes: commands and their values that belong to it: what the process's end must not part from it.
        """
        with self._guarded():
            execute = self._database.execute
            execute("BEGIN IMMEDIATE")
            try:
                execute("UPDATE state SET step = NULL")
                for name, columns, keys in _TABLES:
                    own = ", ".join(columns)
                    same = " AND ".join(f"{name}.{key} = noted.{key}" for key in keys)
                    noted = f"(SELECT * FROM {name}_before WHERE step = {int(step)})"
                    now = ", ".join(f"noted.{column}" if column in keys else f"{name}.{column}" for column in columns)
                    execute(
                        f"CREATE TEMP TABLE swapped AS SELECT {int(step)}, {name}.object_id IS NOT NULL, {now} "
                        f"FROM {noted} AS noted LEFT JOIN {name} ON {same}"
                    )
                    places = ", ".join(keys)
                    execute(f"DELETE FROM {name} WHERE ({places}) IN (SELECT {places} FROM {noted})")
                    execute(f"INSERT INTO {name} ({own}) SELECT {own} FROM {noted} AS noted WHERE existed")
                    execute(f"DELETE FROM {name}_before WHERE step = {int(step)}")
                    execute(f"INSERT INTO {name}_before (step, existed, {own}) SELECT * FROM temp.swapped")
                    execute("DROP TABLE temp.swapped")
                for command, values in notes:
                    execute(command, values)
                execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    execute("ROLLBACK")
                raise

    def _forget_steps(self, where: str, *values: Any) -> None:
        steps = [step for (step,) in self._rows(f"SELECT step FROM steps WHERE {where}", *values)]
        for step in steps:
            for command in _FORGET_STEP:
                self._execute(command, step)

    def _insert(self, command: str, *values: Any) -> int:
        with self._guarded():
            return int(self._database.execute(command, values).lastrowid or 0)


def _table_commands() -> list[str]:
    commands = [
        "CREATE TABLE IF NOT EXISTS objects (object_id INTEGER PRIMARY KEY, name, class_name, color, locked, hidden)",
        f"CREATE TABLE IF NOT EXISTS prompts ({', '.join(_PROMPT_COLUMNS)}, PRIMARY KEY (object_id, frame_index)) "
        "WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS steps "
        "(step INTEGER PRIMARY KEY AUTOINCREMENT, title, frame_index, object_id, undone)",
        "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, step, revision)",
        "CREATE TABLE IF NOT EXISTS turns "
        "(turn INTEGER PRIMARY KEY AUTOINCREMENT, key, undone, step, title, frame_index, object_id)",
        "CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY AUTOINCREMENT, key, answer)",
    ]
    for name, columns, keys in _TABLES:
        commands.append(
            f"CREATE TABLE IF NOT EXISTS {name}_before (step, existed, {', '.join(columns)}, "
            f"PRIMARY KEY (step, {', '.join(keys)})) WITHOUT ROWID"
        )
    return commands


def _trigger_commands() -> dict[str, str]:
    """By name, the triggers that note how a row was before the operation in work first changes it."""
    commands = {}
    for name, columns, keys in _TABLES:
        for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
            same = " AND ".join(f"{name}.{key} = {row}.{key}" for key in keys)
            noted = " AND ".join(f"noted.{key} = {row}.{key}" for key in keys)
            values = ", ".join(f"{row}.{column}" if column in keys else f"{name}.{column}" for column in columns)
            # Not "OR IGNORE": within a trigger the way of the statement that fired it would hold.
            trigger = f"{name}_{event.lower()}"
            commands[trigger] = (
                f"CREATE TRIGGER {trigger} BEFORE {event} ON {name} "
                f"WHEN (SELECT step FROM state) IS NOT NULL BEGIN "
                f"INSERT INTO {name}_before (step, existed, {', '.join(columns)}) "
                f"SELECT state.step, {name}.object_id IS NOT NULL, {values} "
                f"FROM state LEFT JOIN {name} ON {same} WHERE NOT EXISTS "
                f"(SELECT 1 FROM {name}_before AS noted WHERE noted.step = state.step AND {noted}); END"
            )
    return commands


_CREATE_TABLES = _table_commands()
_TRIGGERS = _trigger_commands()


def _prompt_of(row: Sequence[Any]) -> SavedPrompt:
    """Return the prompt of a row of the table, whose values are in the order of `_PROMPT_COLUMNS`."""
    (
        object_id,
        frame_index,
        candidate,
        initial,
        time_s,
        rle,
        iou_prediction,
        object_score,
        answer,
        confidence,
        *values,
    ) = row
    return SavedPrompt(
        object_id,
        frame_index,
        {name: _from_column(value) for name, value in zip(SHORT_NAMES, values, strict=True)},
        candidate,
        bool(initial),
        time_s,
        json.loads(rle),
        iou_prediction,
        object_score,
        confidence,
        None if answer is None else _unpacked(answer),
    )


def _to_column(value: Any) -> Any:
    """Return a value of a prompt's document as SQLite keeps it: arrays as they are packed, everything else as JSON."""
    return value if isinstance(value, bytes) else json.dumps(value)


def _from_column(value: Any) -> Any:
    """Return the inverse of `_to_column`. A column that is NULL came with a later version of masklet."""
    return json.loads(value) if isinstance(value, str) else value


def _shown(mask: MaskRow | None, prompt: SavedPrompt | None) -> MaskRow | None:
    """Of a mask and a prompt's answer, what is shown: the answer where the mask is none or outdated."""
    answer = None if prompt is None else prompt.stored()
    return answer if answer is not None and (mask is None or mask.stale) else mask


def _all_shown(masks: Mapping[_Place, MaskRow], prompts: Mapping[_Place, SavedPrompt]) -> dict[_Place, MaskRow | None]:
    return {place: _shown(masks.get(place), prompts.get(place)) for place in masks.keys() | prompts.keys()}


def _by_frame(shown: Mapping[_Place, MaskRow | None]) -> dict[int, list[MaskRow]]:
    """Ascending, the masks of a frame by object id."""
    frames: dict[int, list[MaskRow]] = {}
    for (frame_index, _), mask in sorted(shown.items()):
        if mask is not None:
            frames.setdefault(frame_index, []).append(mask)
    return frames


def _pixels(mask: MaskRow | None) -> str | bytes | None:
    return None if mask is None else mask.rle["counts"]


def _packed(logits: FloatArray) -> bytes:
    """Return square logits in half precision."""
    return zlib.compress(logits.astype(np.float16).tobytes(), 1)


def _unpacked(data: bytes) -> FloatArray:
    flat = np.frombuffer(zlib.decompress(data), np.float16).astype(np.float32)
    side = int(len(flat) ** 0.5)
    return flat.reshape(side, side)


def _among(object_ids: Iterable[int] | None) -> tuple[str, list[int]]:
    if object_ids is None:
        return "", []
    ids = [int(object_id) for object_id in object_ids]
    return f"AND object_id IN ({', '.join('?' * len(ids))})", ids
