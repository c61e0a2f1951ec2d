"""Base class of memory policies, and the records that they receive and return.

Plain numbers and small boolean grids: a policy knows nothing of engines, array handles or videos. The package's
docstring says how to write one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from masklet.masks.overlap import pair_iou
from masklet.records import BoolArray

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in fractions of the frame, 0 to 1."""


class View(NamedTuple):
    """Input of `Policy.read`: a frame that is about to be decoded, and the remembered frames behind it."""

    frame_index: int
    """The frame about to be decoded, from 0."""
    direction: int
    """1 forward, -1 backward."""
    pointer_span: int
    """Frames over which pointer times are normalised: a tracked pointer is at most `pointer_span - 1` frames away."""
    reliability: Mapping[int, float]
    """Reliability, 0 to 1, by frame index, of each remembered frame behind this one that is not read in slot 0."""
    num_prompted: int = 0
    """Number of frames read in slot 0: prompted frames, and those that a policy wrote as resolved."""


class Reads(NamedTuple):
    """Output of `Policy.read`: the frames to read, in reading order. Frames that are not remembered are skipped."""

    spatial: list[tuple[int, int]]
    """(slot, frame index) of each spatial memory; slots count from 1, the most recent."""
    pointers: list[tuple[int, int]]
    """(frames ago, frame index) of each object pointer."""


class Write(NamedTuple):
    """Output of `Policy.write`: how a decoded frame is remembered."""

    remember: bool = True
    """False keeps the frame out of the bank."""
    resolved: bool = False
    """Read it in slot 0 like a prompted frame: the object was told apart from its look-alikes on it."""
    reliability: float | None = None
    """Replaces `reliability(object_score, iou_prediction)`; `ReliablePolicy` skips frames of reliability 0."""


class Sighting:
    """The decoder's answer for one object on one frame: up to three candidate masks, one of them chosen.

    Args:
        frame_index: the frame, from 0.
        direction: which way tracking goes, 1 forward or -1 backward.
        object_score: logit, present where > 0.
        iou_predictions: (K,) the model's own estimate of each candidate's IoU, in [0, 1].
        masks: (K, h, w) bool, on a small grid over the whole frame.
        chosen: index of the candidate that counts.
        prompted: whether the user prompted this object on this frame.
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
        """Area of the chosen candidate, as a fraction of the frame."""
        return self.areas[self.chosen]

    @property
    def box(self) -> Box | None:
        """Box of the chosen candidate; None when its mask is empty."""
        return self.boxes[self.chosen]

    @cached_property
    def areas(self) -> tuple[float, ...]:
        """(K,) area of each candidate, as a fraction of the frame."""
        return tuple(np.count_nonzero(mask) / mask.size for mask in self.masks)

    @cached_property
    def boxes(self) -> tuple[Box | None, ...]:
        """(K,) tight box around each candidate; None where a mask is empty."""
        return tuple(box_of(mask) for mask in self.masks)

    def with_masks(self, masks: BoolArray) -> Sighting:
        """Return a copy with other masks, (K, h, w)."""
        return Sighting(
            self.frame_index,
            self.direction,
            self.object_score,
            self.iou_predictions,
            masks,
            self.chosen,
            prompted=self.prompted,
        )

    def choosing(self, candidate: int) -> Sighting:
        """Return a copy with another chosen candidate; computed areas and boxes are kept."""
        other = copy.copy(self)
        other.chosen = candidate
        return other


def box_of(mask: BoolArray) -> Box | None:
    """Return the tight box around a mask (h, w), in fractions of its sides; None when it is empty."""
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
    """Return the intersection over union of two boxes; 0 if either is missing."""
    return 0.0 if first is None or second is None else pair_iou(first, second)


def reliability(object_score: float, iou_prediction: float) -> float:
    """Return how certain it is that a frame's mask shows the object, 0 (absent) to 1.

    Args:
        object_score: logit, present where > 0.
        iou_prediction: in [0, 1].

    Source: sam3 99d02f2, sam3_tracker_base.py (the effective IoU score of its memory selection).
    """
    if object_score <= 0:
        return 0.0
    return math.tanh(object_score / 2) * iou_prediction  # tanh(x / 2) = 2 sigmoid(x) - 1


class CandidateTrack(NamedTuple):
    """Input of `Policy.select`: one hypothesis of where the object has been, with the decoder's latest answer."""

    score: float
    """`Branch.score` on the previous frame; 0 at a prompt."""
    sighting: Sighting
    """The decoder's answer for this hypothesis on the current frame."""
    ratings: tuple[float, ...]
    """(K,) rating of each candidate, from `Policy.rate`."""


class Branch(NamedTuple):
    """Output of `Policy.select`: a candidate track continued with one of its candidate masks."""

    track: int
    """Index of the candidate track that it continues."""
    candidate: int
    """Index of the candidate mask on the current frame."""
    score: float
    """Score of the whole track, this frame included; higher is better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig:
    """Base class of a policy's own settings, for policies without any. Every field needs a default."""


class Policy:
    """Base class: the memory rules of one object. Every default answer means "no opinion".

    Args:
        memory: settings that all policies share.
        config: settings of this policy; the defaults of its `Config` when left out.
    """

    Config: ClassVar[type[PolicyConfig]] = PolicyConfig
    """Dataclass of this policy's settings."""
    config: Any

    def __init__(self, memory: MemoryConfig, config: PolicyConfig | None = None) -> None:
        self.memory = memory
        self.config = self.Config() if config is None else config

    def read(self, view: View) -> Reads | None:
        """Choose the tracked frames to read for a frame. None: as `reliable` does."""
        return None

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        """Rate each candidate of a frame without a prompt: how likely is it the object? The highest is chosen.

        None leaves the engine's choice, the candidate of the highest IoU prediction.
        """
        return None

    def select(self, tracks: Sequence[CandidateTrack]) -> list[Branch] | None:
        """Choose the branches to continue with, best first; the first is shown. The first track's policy is asked.

        Each branch gets its own bank and policy. None: each track continues with the candidate that it rates highest.
        After a prompt there is one track.
        """
        return None

    def write(self, sighting: Sighting) -> Write:
        """Decide how the frame is remembered, and update the policy's own state. Called once per frame."""
        return Write()

    def reset(self) -> None:
        """Forget state that holds only for consecutive frames: called on a cut, a jump or a change of direction."""

    def state(self) -> dict[str, Any]:
        """Return the policy's state as plain JSON values, for session files."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the state to a result of `state`."""

    def fork(self) -> Policy:
        """Return an independent copy."""
        return copy.deepcopy(self)
