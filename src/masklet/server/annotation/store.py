"""The annotations of one medium: objects, prompts and masks in one SQLite file, with a history.

The file is authoritative: trackers are created from it when needed. So nothing has to be saved, and if the process
ends in any way, only the current frame is lost. Prompts are stored as passed to the decoder, with the logits that they
corrected, so that the same prompt gives the same mask again. Undo and redo are in `history`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from masklet.masks.rle import CocoRle
from masklet.prompts import SHORT_NAMES, Prompt, PromptDocument
from masklet.records import ABSENT_SCORE, FloatArray, ObjectStatus
from masklet.server.annotation.history import UndoableTable, UndoStore
from masklet.server.annotation.work_counts import WorkCounts
from masklet.tracking.mask_rows import COLUMNS as MASK_COLUMNS
from masklet.tracking.mask_rows import MaskRow, from_values, given_row

_OBJECT_COLUMNS = "object_id, name, class_name, color, locked, hidden"
_PROMPT_COLUMNS = (
    *("object_id", "frame_index", "candidate", "initial", "time_s", "rle", "iou_prediction", "object_score", "answer"),
    "confidence",
    *SHORT_NAMES.values(),
)
"""Columns of a prompt and its answer; columns of the prompt itself are named after its fields."""


_Key = tuple[int, int]
"""Frame index and object id."""

_MASKS = UndoableTable("masks", MASK_COLUMNS, ("object_id", "frame_index"))
_OBJECTS = UndoableTable("objects", tuple(_OBJECT_COLUMNS.split(", ")), ("object_id",))
_PROMPTS = UndoableTable("prompts", _PROMPT_COLUMNS, ("object_id", "frame_index"))


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """An object's name, class and appearance, without its masks."""

    object_id: int
    name: str
    class_name: str = ""
    color: str = "#4f8cff"
    locked: bool = False
    """Neither prompts nor tracking change a locked object."""
    hidden: bool = False


@dataclass(frozen=True)
class SavedPrompt:
    """The prompt of one object on one frame, with the decoder's answer."""

    object_id: int
    frame_index: int
    document: PromptDocument
    """The prompt as it is stored, see `of`. It is decoded when `prompt` is first read."""
    candidate: int | None = None
    """Selects one of the candidates of a single click, counted from the best."""
    initial: bool = True
    """True if the object had not been tracked on this frame."""
    time_s: float = 0.0
    rle: CocoRle | None = None
    """The answer's mask."""
    iou_prediction: float = 0.0
    object_score: float = 0.0
    confidence: float | None = None
    """Expected IoU of the mask, in [0, 1]; None in data of an earlier version: then the IoU prediction is used."""
    answer_logits: FloatArray | None = None
    """(h, w) logits of the answer, which the next point corrects."""

    @classmethod
    def of(cls, object_id: int, frame_index: int, prompt: Prompt, **others: Any) -> SavedPrompt:
        """Return a prompt to be saved; logits are stored in half precision."""
        return cls(object_id, frame_index, prompt.to_dict(_packed), **others)

    @cached_property
    def prompt(self) -> Prompt:
        """The prompt for the tracker. A drawn mask may be empty: the object is not on this frame."""
        return Prompt.from_dict(self.document, _unpacked)

    def with_prompt(self, prompt: Prompt, **changes: Any) -> SavedPrompt:
        """Return a copy with another prompt."""
        return replace(self, document=prompt.to_dict(_packed), **changes)

    def as_row(self) -> MaskRow | None:
        """Return the answer as a mask row; None if there is no answer."""
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


class _SavedStep(NamedTuple):
    """The rows that one operation changed, as they were before it; None for rows that it created."""

    masks: dict[_Key, MaskRow | None]
    prompts: dict[_Key, SavedPrompt | None]


class Mark(NamedTuple):
    """A shown mask without its pixels, for the timeline."""

    frame_index: int
    object_id: int
    status: ObjectStatus
    confidence: float
    """Confidence in [0, 1]."""
    prompted: bool
    accepted: bool
    review: bool
    stale: bool


class AnnotationStore(UndoStore):
    """The file of one medium.

    Raises:
        OutputError: it cannot be opened or written.
    """

    tables = (_MASKS, _OBJECTS, _PROMPTS)

    def _create_commands(self) -> list[str]:
        return [
            "CREATE TABLE IF NOT EXISTS objects "
            "(object_id INTEGER PRIMARY KEY, name, class_name, color, locked, hidden)",
            f"CREATE TABLE IF NOT EXISTS prompts ({', '.join(_PROMPT_COLUMNS)}, PRIMARY KEY (object_id, frame_index)) "
            "WITHOUT ROWID",
            *super()._create_commands(),
        ]

    # Objects.

    def objects(self) -> list[AnnotatedObject]:
        """Return all objects by id."""
        rows = self._rows(f"SELECT {_OBJECT_COLUMNS} FROM objects ORDER BY object_id")
        return [
            AnnotatedObject(object_id, name, class_name, color, bool(locked), bool(hidden))
            for object_id, name, class_name, color, locked, hidden in rows
        ]

    def num_objects(self) -> int:
        ((count,),) = self._rows("SELECT count(*) FROM objects")
        return int(count)

    def object(self, object_id: int) -> AnnotatedObject | None:
        return next((row for row in self.objects() if row.object_id == object_id), None)

    def new_object_id(self) -> int:
        """Return an id that is not used by an object, or by a deleted object that undo could restore.

        An object whose creation has been undone cannot come back once another one is made, so its id is free.
        """
        ((largest,),) = self._rows(
            "SELECT max(object_id) FROM (SELECT object_id FROM objects UNION ALL SELECT object_id FROM objects_before "
            "WHERE step IN (SELECT step FROM steps WHERE NOT undone))"
        )
        return 1 + (largest or 0)

    def write_object(self, row: AnnotatedObject) -> None:
        self._execute(
            f"INSERT OR REPLACE INTO objects ({_OBJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            row.object_id,
            row.name,
            row.class_name,
            row.color,
            row.locked,
            row.hidden,
        )

    def delete_object(self, object_id: int) -> None:
        """Delete an object with its prompts and masks."""
        for table in self.tables:
            self._execute(f"DELETE FROM {table.name} WHERE object_id = ?", object_id)

    def rename_class(self, old: str, new: str) -> int:
        """Rename the class of all objects, in the history too: undo never brings the old name back.

        Returns:
            The number of objects that have been changed.
        """
        with self.transaction():
            count = self._execute("UPDATE objects SET class_name = ? WHERE class_name = ?", new, old)
            self._execute("UPDATE objects_before SET class_name = ? WHERE class_name = ?", new, old)
            if count:
                self._execute("UPDATE state SET revision = revision + 1")
        return count

    # Prompts.

    def prompts(self, *, frame_index: int | None = None, object_id: int | None = None) -> list[SavedPrompt]:
        """Return all prompts, or those on a frame or of an object, by object and frame."""
        where = "WHERE (? IS NULL OR frame_index = ?) AND (? IS NULL OR object_id = ?) ORDER BY object_id, frame_index"
        rows = self._rows(
            f"SELECT {', '.join(_PROMPT_COLUMNS)} FROM prompts {where}", frame_index, frame_index, object_id, object_id
        )
        return [_prompt_of(row) for row in rows]

    def prompt(self, object_id: int, frame_index: int) -> SavedPrompt | None:
        prompts = self.prompts(frame_index=frame_index, object_id=object_id)
        return prompts[0] if prompts else None

    def prompted_frames(self) -> dict[int, list[int]]:
        """Return the prompted frames of each object, ascending, by object id."""
        frames: dict[int, list[int]] = {}
        rows = self._rows("SELECT object_id, frame_index FROM prompts ORDER BY object_id, frame_index")
        for object_id, index in rows:
            frames.setdefault(object_id, []).append(index)
        return frames

    def write_prompt(self, prompt: SavedPrompt) -> None:
        places = ", ".join("?" * len(_PROMPT_COLUMNS))
        self._execute(
            f"INSERT OR REPLACE INTO prompts ({', '.join(_PROMPT_COLUMNS)}) VALUES ({places})",
            prompt.object_id,
            prompt.frame_index,
            prompt.candidate,
            prompt.initial,
            prompt.time_s,
            json.dumps(prompt.rle),
            prompt.iou_prediction,
            prompt.object_score,
            None if prompt.answer_logits is None else _packed(prompt.answer_logits),
            prompt.confidence,
            *(_to_column(prompt.document.get(name)) for name in SHORT_NAMES),
        )

    def delete_prompt(self, object_id: int, frame_index: int) -> None:
        self._execute("DELETE FROM prompts WHERE object_id = ? AND frame_index = ?", object_id, frame_index)

    # Shown masks: those of tracking, and answers to prompts on frames that have not been tracked since.

    def shown(
        self, start: int, stop: int, step: int = 1, object_ids: Iterable[int] | None = None
    ) -> dict[int, list[MaskRow]]:
        """Return masks by frame, then by object id. An outdated mask is shown until its frame is tracked again."""
        among, values = _among(object_ids)
        where = f"frame_index >= ? AND frame_index < ? AND (frame_index - ?) % ? = 0 {among}"
        masks, prompts = self._rows_by_key(where, start, stop, start, step, *values)
        return _by_frame(_all_shown(masks, prompts))

    def shown_size(
        self, start: int, stop: int, step: int = 1, object_ids: Iterable[int] | None = None
    ) -> tuple[int, int]:
        """Return the number of masks that `shown` would read, and the bytes of their run-length codes."""
        among, values = _among(object_ids)
        where = f"frame_index >= ? AND frame_index < ? AND (frame_index - ?) % ? = 0 {among}"
        num_masks = num_bytes = 0
        for table, column in (("masks", "counts"), ("prompts", "rle")):
            select = f"SELECT count(*), coalesce(sum(length({column})), 0) FROM {table} WHERE {where}"
            ((count, size),) = self._rows(select, start, stop, start, step, *values)
            num_masks, num_bytes = num_masks + count, num_bytes + size
        return num_masks, num_bytes

    def _rows_by_key(self, where: str, *values: Any) -> tuple[dict[_Key, MaskRow], dict[_Key, SavedPrompt]]:
        rows = self._rows(f"SELECT {', '.join(_PROMPT_COLUMNS)} FROM prompts WHERE {where}", *values)
        masks = {_key(row): row for row in self._masks(f"WHERE {where}", *values)}
        return masks, {_key(prompt): prompt for prompt in map(_prompt_of, rows)}

    def shown_before(self, start: int, stop: int) -> dict[int, list[MaskRow]]:
        """Return masks as `shown` does, but each as it was before its pixels last changed.

        Masks that came with that change are left out. Masks that changed before the oldest operation of the history
        are returned as they are.
        """
        where = "frame_index >= ? AND frame_index < ?"
        masks, prompts = self._rows_by_key(where, start, stop)
        now = _all_shown(masks, prompts)
        before = dict(now)
        # Walk back through the history, one operation at a time, and put the saved rows in place: after each step
        # `masks` and `prompts` are the tables as they were before that operation. What is shown depends on both, and
        # an operation may change rows without changing pixels (accepting, a prompt that tracking confirms), so a mask
        # is taken from the first step at which its pixels differ from the current ones.
        saved = self._saved_by_step(where, start, stop)
        changed: set[_Key] = set()
        for step in sorted(saved, reverse=True):
            for key, mask in saved[step].masks.items():
                _put(masks, key, mask)
            for key, prompt in saved[step].prompts.items():
                _put(prompts, key, prompt)
            for key in (saved[step].masks.keys() | saved[step].prompts.keys()) - changed:
                earlier = _shown(masks.get(key), prompts.get(key))
                if _pixels(earlier) != _pixels(now.get(key)):
                    changed.add(key)
                    before[key] = earlier
        return _by_frame(before)

    def _saved_by_step(self, where: str, *values: Any) -> dict[int, _SavedStep]:
        """Return the rows that each operation changed, as they were before it; None for rows that it created."""
        steps: dict[int, _SavedStep] = {}
        for row in self.saved_rows(_MASKS, where, *values):
            key = _key_of(_MASKS, row.values)
            steps.setdefault(row.step, _SavedStep({}, {})).masks[key] = from_values(row.values) if row.existed else None
        for row in self.saved_rows(_PROMPTS, where, *values):
            key = _key_of(_PROMPTS, row.values)
            prompt = _prompt_of(row.values) if row.existed else None
            steps.setdefault(row.step, _SavedStep({}, {})).prompts[key] = prompt
        return steps

    def shown_frames(self) -> list[int]:
        """Return the frames with a mask or a prompt, ascending."""
        return [
            index
            for (index,) in self._rows(
                "SELECT frame_index FROM masks UNION SELECT frame_index FROM prompts ORDER BY frame_index"
            )
        ]

    def marks(self) -> list[Mark]:
        """Return all shown masks, without pixels, by object and frame."""
        marks = {
            (object_id, index): Mark(index, object_id, status, confidence, *map(bool, flags))
            for index, object_id, status, confidence, *flags in self._rows(
                "SELECT frame_index, object_id, status, coalesce(confidence, iou_prediction), "
                "prompted, accepted, review, stale FROM masks"
            )
        }
        for index, object_id, confidence, score in self._rows(
            "SELECT frame_index, object_id, coalesce(confidence, iou_prediction), object_score FROM prompts "
            "WHERE rle != 'null'"
        ):
            mark = marks.get((object_id, index))
            if mark is None or mark.stale:
                status: ObjectStatus = "present" if score > 0 else "occluded"
                marks[object_id, index] = Mark(index, object_id, status, confidence, True, False, False, False)
        return [marks[key] for key in sorted(marks)]

    def work_counts(self) -> WorkCounts:
        """Count frames and objects, for lists of media."""
        return WorkCounts.of(self._rows)

    def settle(self, frames: range, object_ids: Iterable[int] | None = None) -> None:
        """Turn answers to prompts on frames that have not been tracked into masks, so that they can be accepted."""
        for frame_index, masks in self.shown(frames.start, frames.stop, object_ids=object_ids).items():
            tracked = {row.object_id for row in self.frame(frame_index) if not row.stale}
            answers = [mask for mask in masks if mask.prompted and mask.object_id not in tracked]
            self.write([replace(mask, stale=False) for mask in answers])

    def accept_all(self, start: int, stop: int, object_ids: Iterable[int] | None = None, accepted: bool = True) -> int:
        """Mark the masks of frames [start, stop) that are up to date as accepted, or not accepted.

        Returns:
            The number of masks that were changed.
        """
        among, values = _among(object_ids)
        # A mask that marks an object as absent was accepted when it was drawn.
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
        """Drop an object's masks that are not accepted; or its mask on one frame, accepted or not."""
        if frame_index is None:
            self._execute("DELETE FROM masks WHERE object_id = ? AND NOT accepted", object_id)
        else:
            self._execute("DELETE FROM masks WHERE object_id = ? AND frame_index = ?", object_id, frame_index)

    def current_frames(self) -> dict[int, set[int]]:
        """Return the frames with a mask that is up to date, by object id."""
        frames: dict[int, set[int]] = {}
        for object_id, index in self._rows("SELECT object_id, frame_index FROM masks WHERE NOT stale"):
            frames.setdefault(object_id, set()).add(index)
        return frames

    def accepted_frames(self, object_id: int) -> set[int]:
        """Return the frames on which an object's mask is accepted."""
        rows = self._rows("SELECT frame_index FROM masks WHERE object_id = ? AND accepted", object_id)
        return {index for (index,) in rows}

    def tracked_ids(self) -> set[int]:
        """Return the objects that have been tracked beyond their prompts."""
        return {object_id for (object_id,) in self._rows("SELECT DISTINCT object_id FROM masks WHERE NOT prompted")}


def _prompt_of(row: Sequence[Any]) -> SavedPrompt:
    """Return the prompt of a row of the table, whose values are in the order of `_PROMPT_COLUMNS`."""
    object_id, frame_index, candidate, initial, *answered = row[: -len(SHORT_NAMES)]
    time_s, rle, iou_prediction, object_score, answer, confidence = answered
    values = row[-len(SHORT_NAMES) :]
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
    """Convert a value of a prompt's document for SQLite: arrays are packed, all others are JSON."""
    return value if isinstance(value, bytes) else json.dumps(value)


def _from_column(value: Any) -> Any:
    """Convert a value back from SQLite. A column that a later version of masklet added may be NULL."""
    return json.loads(value) if isinstance(value, str) else value


def _shown(mask: MaskRow | None, prompt: SavedPrompt | None) -> MaskRow | None:
    """Return the mask to show: the prompt's answer if there is no mask or an outdated one."""
    answer = None if prompt is None else prompt.as_row()
    return answer if answer is not None and (mask is None or mask.stale) else mask


def _all_shown(masks: Mapping[_Key, MaskRow], prompts: Mapping[_Key, SavedPrompt]) -> dict[_Key, MaskRow | None]:
    return {key: _shown(masks.get(key), prompts.get(key)) for key in masks.keys() | prompts.keys()}


R = TypeVar("R")


def _put(rows: dict[_Key, R], key: _Key, row: R | None) -> None:
    """Put a row in place, or remove it if it did not exist."""
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row


def _key(row: MaskRow | SavedPrompt) -> _Key:
    return row.frame_index, row.object_id


def _key_of(table: UndoableTable, values: Sequence[Any]) -> _Key:
    return values[table.columns.index("frame_index")], values[table.columns.index("object_id")]


def _by_frame(shown: Mapping[_Key, MaskRow | None]) -> dict[int, list[MaskRow]]:
    """Return masks by ascending frame, then by object id."""
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
