"""What a memory policy is asked, what it answers, and the answers of one that has no opinion.

Plain numbers and small boolean grids: a policy knows no engine, no handle, no video. See the package's docstring for
how to write one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from masklet.records import BoolArray

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in fractions of the frame, 0 to 1."""


class View(NamedTuple):
    """The frame to be read for, and what could be read for it."""

    frame_index: int
    direction: int
    """1 forward, -1 backward."""
    pointer_span: int
    """Frames over which pointer times are normalised: no tracked pointer is farther away than `pointer_span - 1`."""
    reliability: Mapping[int, float]
    """Of each remembered frame behind this one that is not read in slot 0, by its frame index; 0 to 1."""
    num_prompted: int = 0
    """Frames that are read in slot 0: prompted ones, and those that a policy had written as resolved."""


class Reads(NamedTuple):
    """Which frames are read for one frame, in reading order. Frames that are not remembered are passed over."""

    spatial: list[tuple[int, int]]
    """(slot, frame index)"""
    pointers: list[tuple[int, int]]
    """(frames ago, frame index)"""


class Write(NamedTuple):
    """What becomes of a frame that has been looked at."""

    remember: bool = True
    """False keeps it out of the bank, as if it had not been seen."""
    resolved: bool = False
    """Remember it beside the prompted frames, in slot 0: a frame on which the object was told from its look-alikes."""
    reliability: float | None = None
    """In place of `reliability(object_score, iou_prediction)`; 0 means that `read_reliable` passes it over."""


class Sighting:
    """What the decoder saw of one object on one frame: up to three candidates, of which one is chosen.

    Args:
        frame_index: the frame, from 0.
        direction: which way tracking goes, 1 forward or -1 backward.
        object_score: logit, present where > 0.
        iou_predictions: (K,) the model's own estimate for each candidate, in [0, 1].
        masks: (K, h, w) bool, on a small grid over the whole frame.
        chosen: the candidate that counts.
        prompted: whether the user said something of this object on this frame.
    """

    def __init__(
        self,
        frame_index: int,
        direction: int,
        object_score: float,
        iou_predictions: Sequence[float],
        masks: BoolArray,
        chosen: int = 0,
        *,
        prompted: bool = False,
    ) -> None:
        self.frame_index = frame_index
        self.direction = direction
        self.object_score = object_score
        self.iou_predictions = tuple(iou_predictions)
        self.masks = masks
        self.chosen = chosen
        self.prompted = prompted

    @property
    def is_present(self) -> bool:
        return self.object_score > 0

    @property
    def iou_prediction(self) -> float:
        return self.iou_predictions[self.chosen]

    @property
    def area(self) -> float:
        """Of the chosen candidate."""
        return self.areas[self.chosen]

    @property
    def box(self) -> Box | None:
        """Of the chosen candidate; None when its mask is empty."""
        return self.boxes[self.chosen]

    @cached_property
    def areas(self) -> tuple[float, ...]:
        """(K,) of each candidate, in fractions of the frame."""
        return tuple(np.count_nonzero(mask) / mask.size for mask in self.masks)

    @cached_property
    def boxes(self) -> tuple[Box | None, ...]:
        """(K,) tight around each candidate."""
        return tuple(box_of(mask) for mask in self.masks)

    def choosing(self, candidate: int) -> Sighting:
        """The same with another choice; what has been computed of the candidates stays."""
        other = copy.copy(self)
        other.chosen = candidate
        return other


def box_of(mask: BoolArray) -> Box | None:
    """The tight box around a mask (h, w), in fractions of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    height, width = mask.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def box_iou(first: Box | None, second: Box | None) -> float:
    """Intersection over union; 0 where one is missing."""
    if first is None or second is None:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0


def reliability(object_score: float, iou_prediction: float) -> float:
    """How sure a frame's mask is to show the object, 0 (absent) to 1.

    Args:
        object_score: logit, present where > 0.
        iou_prediction: in [0, 1].

    Source: sam3 99d02f2, sam3_tracker_base.py (the effective IoU score of its memory selection).
    """
    if object_score <= 0:
        return 0.0
    return math.tanh(object_score / 2) * iou_prediction  # tanh(x / 2) = 2 sigmoid(x) - 1


class Path(NamedTuple):
    """One way in which an object may have gone until now, and what the decoder sees at its end."""

    score: float
    """As `Branch.score` of the frame before; 0 at a prompt."""
    sighting: Sighting
    ratings: tuple[float, ...]
    """(K,) of `rate`, by candidate."""


class Branch(NamedTuple):
    """A way on: one candidate of one path."""

    path: int
    candidate: int
    score: float
    """How good this way has been altogether."""


class Policy:
    """The rules by which one object remembers; a base whose every answer is "no opinion".

    Args:
        config: settings that all policies share.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config

    def read(self, view: View) -> Reads | None:
        """Which tracked frames are read for a frame. Without an opinion: as `reliable` does."""
        return None

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        """How likely each candidate is the object, on a frame without a prompt; the highest is chosen.

        Without an opinion the engine's choice stands, which is that of the highest IoU prediction.
        """
        return None

    def select(self, paths: Sequence[Path]) -> list[Branch] | None:
        """With which branches to go on, best first: the first is shown. Asked of the first path's policy.

        Each branch gets a bank and a policy of its own. Without an opinion each path goes on with the candidate that
        it rates highest. After a prompt there is one path.
        """
        return None

    def write(self, sighting: Sighting) -> Write:
        """What becomes of the frame, the choice being made. The place to learn from it, too: called once a frame."""
        return Write()

    def reset(self) -> None:
        """What was seen before says nothing of what follows: a cut, a jump, or tracking has turned round."""

    def state(self) -> dict[str, Any]:
        """What has been learnt, as JSON can hold it, for session files."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""

    def fork(self) -> Policy:
        """A copy that learns on its own."""
        return copy.deepcopy(self)
