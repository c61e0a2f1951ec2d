"""The state of one video in the official video predictor: a dict, and a tracker behind it."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from masklet.compat.sam2.arguments import PAGE, to_object_id
from masklet.errors import MaskletError, TrackingError
from masklet.records import FloatArray
from masklet.tracking.tracker import Tracker


class UnknownEntryError(MaskletError, KeyError):
    """An entry of the official `inference_state` that is not there in masklet's."""

    __str__ = Exception.__str__  # a KeyError would put its text in quotes


@dataclass(slots=True)
class TrackedObject:
    """The predictor's own state of one object; its memory is the tracker's."""

    number: int
    """In the tracker, whose objects have numbers."""
    points: dict[int, tuple[FloatArray, NDArray[Any], FloatArray | None]] = field(default_factory=dict)
    """Points, labels and box by frame."""
    initial: set[int] = field(default_factory=set)
    """Frames that were prompted before they had been tracked: the conditioning frames."""
    tracked: set[int] = field(default_factory=set)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    """(h, w) low-res logits by frame."""
    fresh: dict[int, Tensor] = field(default_factory=dict)
    """Like `outputs`, from prompts that have not been propagated yet."""

    def output(self, frame_index: int) -> Tensor | None:
        return self.fresh.get(frame_index, self.outputs.get(frame_index))


class InferenceState(dict[str, Any]):
    """One video and what has been said of it: from `init_state`, and for the methods of the predictor.

    As the official one it is a dict, with images, num_frames, video_height, video_width, obj_ids, obj_id_to_idx,
    obj_idx_to_id, device, storage_device, offload_video_to_cpu and offload_state_to_cpu. The rest is in its attributes.
    `copy.deepcopy` makes a state that goes its own way with the same video and model.
    """

    def __init__(self, tracker: Tracker[Any], values: dict[str, Any]) -> None:
        super().__init__(values, obj_ids=[], obj_id_to_idx={}, obj_idx_to_id={})
        self.tracker = tracker
        self.objects: dict[Hashable, TrackedObject] = {}
        self._next_number = 0

    def __missing__(self, name: str) -> Any:
        raise UnknownEntryError(
            f"inference_state has no {name!r}: masklet keeps memories and outputs elsewhere. Masks come from "
            f"propagate_in_video, prompts are in inference_state.tracker.prompts (see {PAGE})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        raise TrackingError(
            "an inference_state cannot be pickled, since its video is open: call init_state in the other process, or "
            "copy.deepcopy in this one"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> InferenceState:
        copied = InferenceState(copy.deepcopy(self.tracker, memo), dict(self))
        copied.objects = copy.deepcopy(self.objects, memo)
        copied._next_number = self._next_number
        copied.list_objects()
        return copied

    @property
    def size_hw(self) -> tuple[int, int]:
        return self["video_height"], self["video_width"]

    def new_number(self) -> int:
        self._next_number += 1
        return self._next_number

    def entry(self, obj_id: Any) -> TrackedObject:
        """Return an object.

        Raises:
            TrackingError: it is unknown.
        """
        key = to_object_id(obj_id)
        if key not in self.objects:
            raise TrackingError(f"object {key!r} is unknown: known are {self['obj_ids']}")
        return self.objects[key]

    def list_objects(self) -> None:
        """Bring the ids in the dict up to date; the lists and dicts stay the same ones."""
        self["obj_ids"][:] = self.objects
        self["obj_id_to_idx"].clear()
        self["obj_id_to_idx"].update((obj_id, index) for index, obj_id in enumerate(self.objects))
        self["obj_idx_to_id"].clear()
        self["obj_idx_to_id"].update(enumerate(self.objects))
