"""Objects that come with their masks: imported, or found automatically."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from masklet.masks.rle import CocoRle
from masklet.prompts import mask_document
from masklet.records import PRESENT_SCORE
from masklet.server.annotation.store import AnnotatedObject, SavedPrompt
from masklet.tracking.mask_rows import MaskRow, given_row

ImportMode = Literal["add", "merge", "replace"]
"""What an import does with an object whose number the medium has already: make a new object, replace its masks on the
frames of the file, or replace all its masks."""

MAX_OBJECT_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GivenMask:
    """A mask that was not made in this medium, with its scores."""

    rle: CocoRle
    iou_prediction: float = 1.0
    confidence: float | None = None
    accepted: bool = False

    def as_row(self, frame_index: int, object_id: int, time_s: float, *, prompted: bool) -> MaskRow:
        """Return the mask as one of an object on a frame."""
        return given_row(
            frame_index,
            object_id,
            self.rle,
            time_s=time_s,
            iou_prediction=self.iou_prediction,
            confidence=self.confidence,
            prompted=prompted,
            accepted=self.accepted,
        )

    def as_prompt(self, frame_index: int, object_id: int, time_s: float) -> SavedPrompt:
        """Return the mask as the prompt of an object on a frame."""
        return SavedPrompt(
            object_id,
            frame_index,
            mask_document(self.rle),
            time_s=time_s,
            rle=self.rle,
            iou_prediction=self.iou_prediction,
            confidence=self.confidence,
            object_score=PRESENT_SCORE,
        )


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that comes with its masks: imported or found automatically."""

    name: str
    masks: Mapping[int, GivenMask]
    """Masks by frame index; not empty."""
    class_name: str = ""
    color: str | None = None
    object_id: int | None = None
    """Its number in the file, for imports by number."""


def unique_name(name: str, taken: AbstractSet[str]) -> str:
    """Return a name, with a number appended if it is taken."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate


def merged_object(before: AnnotatedObject, new: NewObject, mode: ImportMode) -> AnnotatedObject:
    """Return an object after an import: its own name, class and colour, or, if it is replaced, those of the file."""
    if mode == "merge":
        return replace(before, class_name=before.class_name or new.class_name)
    return replace(
        before,
        name=new.name or before.name,
        class_name=new.class_name or before.class_name,
        color=new.color or before.color,
    )
