"""What discovery knows of an object, what the tracker tells it on a key frame, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from masklet.discovery.detections import Detection
from masklet.foreign.documents import Json
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.overlap import reduced
from masklet.records import BoolArray, FloatArray

State = Literal["tentative", "confirmed", "absent", "ended"]

WHOLE_BOX = (0.0, 0.0, 1.0, 1.0)
MAX_ID = 2**31
"""Largest object id or frame number in a session file."""


@dataclass(slots=True)
class DiscoveredObject:
    """One object that was found."""

    object_id: int
    first_frame: int
    last_frame: int
    """The last frame on which it was present."""
    since: int
    """The frame of its birth or of its last return."""
    score: float
    """The best score of its detections, 0 to 1."""
    state: State = "tentative"
    """`tentative`: not shown yet; `confirmed`: shown and tracked; `absent`: looked for on key frames; `ended`."""
    label_scores: dict[str, float] = field(default_factory=dict)
    """Sum of the scores of its detections, by label."""
    hits: list[bool] = field(default_factory=list)
    """Whether it was detected, on its last key frames while it was tentative."""
    misses: int = 0
    """Key frames in a row on which it was in doubt and not detected."""
    overlaps: dict[int, int] = field(default_factory=dict)
    """Key frames in a row on which it was a double of an older object, or a part of another one, by the other's id."""
    relative_box: tuple[float, float, float, float] = WHOLE_BOX
    """The last detected box (x0, y0, x1, y1), where the bounding box of the mask is the unit square.

    Detectors draw boxes of another extent than the mask's: faces without hair, people whose hidden legs are guessed.
    """

    @property
    def label(self) -> str:
        """The label that its detections gave most often; empty where they have none."""
        return max(self.label_scores, key=self.label_scores.__getitem__, default="")

    @property
    def is_followed(self) -> bool:
        """True if it is tracked on every frame."""
        return self.state in ("tentative", "confirmed")

    def note_box(self, mask: BoolArray, detection: Detection) -> None:
        """Record where a detected box lies relative to an (H, W) mask; nothing where there is no mask or no box."""
        tight = mask_box_xyxy(mask)
        if detection.rle is None and tight is not None:
            corner, side = np.tile(tight[:2], 2), np.tile(np.maximum(tight[2:] - tight[:2], 1), 2)
            relative = (np.asarray(detection.box_xyxy, np.float64) - corner) / side
            self.relative_box = (float(relative[0]), float(relative[1]), float(relative[2]), float(relative[3]))


class ExpectedMask(NamedTuple):
    """The mask that the decoder predicts from memory for an object that it scores as absent."""

    reduced: BoolArray
    """(h, w) of `masklet.masks.overlap.reduced`."""
    box_xyxy: FloatArray
    """(4,) tight box, source pixels."""

    @classmethod
    def of(cls, mask: BoolArray) -> ExpectedMask | None:
        """Return the record of an (H, W) mask; None if it is empty."""
        box_xyxy = mask_box_xyxy(mask)
        return None if box_xyxy is None else cls(reduced(mask).copy(), box_xyxy)


@dataclass(frozen=True, slots=True)
class TrackedMask:
    """A mask that the tracker has on a key frame."""

    object_id: int
    mask: BoolArray
    """(H, W); empty where the object is absent."""
    confidence: float
    """Expected IoU of the mask, 0 to 1."""
    is_sure: bool
    """False if the tracker is in doubt about the mask."""
    expected: ExpectedMask | None = None
    """The predicted mask of an object that is scored as absent; None for a present object or an empty mask."""

    @property
    def is_present(self) -> bool:
        """True if the mask is not empty."""
        return bool(self.mask.any())


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a key frame changes."""

    born: tuple[tuple[int, Detection], ...] = ()
    """New objects, and the detections to prompt them with."""
    corrected: tuple[tuple[int, Detection], ...] = ()
    """Objects to be prompted again with a detection."""
    confirmed: tuple[int, ...] = ()
    """Objects to be shown from now on, and on the frames before."""
    removed: tuple[int, ...] = ()
    """Ids of false detections and of doubles: they and their masks go."""
    ended: tuple[int, ...] = ()
    """Objects that will not be looked for again; their masks stay."""


def read_object(entry: Json) -> DiscoveredObject:
    """Return an object of a session file.

    Raises:
        DataError: something is missing or of another kind.
    """
    state = entry.field("state")
    if state.value not in get_args(State):
        state.refuse(f"one of {', '.join(get_args(State))}")
    whole = {
        name: entry.field(name).whole(0, MAX_ID)
        for name in ("object_id", "first_frame", "last_frame", "since", "misses")
    }
    return DiscoveredObject(
        **whole,
        score=entry.field("score").number(),
        state=state.value,
        label_scores={label: score.number() for label, score in entry.field("label_scores").items()},
        hits=[bool(hit.value) for hit in entry.field("hits").entries()],
        overlaps=dict(read_pair(pair) for pair in entry.field("overlaps").entries()),
        relative_box=_box(entry.field("relative_box")),
    )


def _box(entry: Json) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (side.number() for side in entry.entries())
    return x0, y0, x1, y1


def read_pair(entry: Json) -> tuple[int, int]:
    """Return two whole numbers: an object id and a count or a frame.

    Raises:
        DataError: there are not two, or they are of another kind.
    """
    parts = [part.whole(0, MAX_ID) for part in entry.entries()]
    if len(parts) != 2:
        entry.refuse("two whole numbers")
    return parts[0], parts[1]
